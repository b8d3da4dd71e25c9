/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "tests/screen.h"
#include "tests/tl-check.h"

struct screen *screen_new(bool terminal)
{
	struct screen *screen = talloc_zero(tl_test_root(), struct screen);
	const struct winsize wide = { .ws_col = 200, .ws_row = 24 };
	struct termios raw;
	int slave = -1;

	ck_assert_ptr_nonnull(screen);
	screen->terminal = terminal;
	if (!terminal) {
		screen->out = open_memstream(&screen->memory, &screen->size);
		return screen;
	}
	screen->master = posix_openpt(O_RDWR | O_NOCTTY);
	ck_assert_int_ge(screen->master, 0);
	ck_assert_int_eq(grantpt(screen->master), 0);
	ck_assert_int_eq(unlockpt(screen->master), 0);
	slave = open(ptsname(screen->master), O_RDWR | O_NOCTTY);
	ck_assert_int_ge(slave, 0);
	ck_assert_int_eq(tcgetattr(slave, &raw), 0);
	cfmakeraw(&raw); /* so that what is written is what is read */
	ck_assert_int_eq(tcsetattr(slave, TCSANOW, &raw), 0);
	ck_assert_int_eq(ioctl(slave, TIOCSWINSZ, &wide), 0);
	screen->out = fdopen(slave, "w");
	ck_assert_ptr_nonnull(screen->out);
	return screen;
}

void screen_read(struct screen *screen)
{
	size_t used = 0;
	ssize_t count = 0;

	if (screen->terminal) {
		ck_assert_int_eq(fcntl(screen->master, F_SETFL, O_NONBLOCK), 0);
		while ((count = read(screen->master, screen->text + used, SCREEN - 1 - used)) > 0)
			used += (size_t)count;
		fclose(screen->out);
		close(screen->master);
	} else {
		fclose(screen->out);
		ck_assert_uint_lt(screen->size, SCREEN);
		memcpy(screen->text, screen->memory, screen->size);
		free(screen->memory);
	}
}

/* What stands on the screen in the end: a carriage return goes back, and text writes over text. */
static char *screen_shows(const struct screen *screen)
{
	char *shown = talloc_zero_size(screen, SCREEN);
	size_t line = 0;
	size_t column = 0;
	size_t end = 0; /* of the line */

	for (const char *c = screen->text; *c != '\0'; c++) {
		if (*c == '\r') {
			column = 0;
		} else if (*c == '\n') {
			while (end > 0 && shown[line + end - 1] == ' ')
				end--;
			shown[line + end] = '\n';
			line += end + 1;
			memset(shown + line, 0, SCREEN - line);
			column = end = 0;
		} else {
			shown[line + column++] = *c;
			end = column > end ? column : end;
		}
	}
	return shown;
}

/* Puts "#" for each number that is a time or a pace. */
static char *without_times(TALLOC_CTX *ctx, const char *text)
{
	char *masked = talloc_zero_size(ctx, strlen(text) + 1);
	size_t used = 0;

	while (*text != '\0') {
		const size_t length = strspn(text, "0123456789.:");
		const char *after = text + length;
		const bool is_time = length > 0 && (strncmp(after, " samples/s", 10) == 0 ||
						    (strncmp(after, " s", 2) == 0 &&
						     !isalnum((unsigned char)after[2])));

		if (is_time)
			masked[used++] = '#';
		else
			memcpy(masked + used, text, length > 0 ? length : 1);
		used += is_time ? 0 : length > 0 ? length : 1;
		text += length > 0 ? length : 1;
	}
	return masked;
}

void screen_expect(struct screen *screen, const char *expected)
{
	screen_read(screen);
	ck_assert_str_eq(without_times(screen, screen_shows(screen)), expected);
	/* on a terminal, too, what comes next begins a line */
	ck_assert_int_eq(screen->text[strlen(screen->text) - 1], '\n');
	if (!screen->terminal)
		ck_assert_ptr_null(strchr(screen->text, '\r'));
	talloc_free(screen);
}

void screen_narrow(struct screen *screen, unsigned short columns)
{
	const struct winsize narrow = { .ws_col = columns, .ws_row = 24 };

	ck_assert_int_eq(ioctl(fileno(screen->out), TIOCSWINSZ, &narrow), 0);
}
