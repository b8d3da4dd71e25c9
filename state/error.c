/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "state/internal.h"

const char *tl_version(void)
{
	return PACKAGE_VERSION;
}

const char *tl_strerror(int code)
{
	const char *text = NULL;

	switch (code) {
	case 0:
		return "success";
	case TL_END:
		return "end";
#define TL_ERROR_TEXT(name, number, text) \
	case -(number): \
		return text;
		TL_ERROR_CODES(TL_ERROR_TEXT)
#undef TL_ERROR_TEXT
	default:
		/* glibc's table itself: unlike strerror() it is const and safe in threads */
		text = code < 0 && code > -4096 ? strerrordesc_np(-code) : NULL;
		return text != NULL ? text : "unknown code";
	}
}

/* What an error that could not be allocated says. */
static const struct tl_error no_memory = {
	.code = -ENOMEM,
	.file = "",
	.message = "out of memory",
	.text = "out of memory",
};

static const struct tl_error *known(const struct tl_error *error)
{
	return error != NULL ? error : &no_memory;
}

static const char *base_name(const char *file)
{
	const char *slash = strrchr(file, '/');

	return slash != NULL ? slash + 1 : file;
}

/* snprintf() that marks what it cut */
TL_PRINTF(3, 0)
static void print_cut(char *buffer, size_t size, const char *format, va_list arguments)
{
	int length = vsnprintf(buffer, size, format, arguments);

	if (length < 0)
		buffer[0] = '\0';
	else if ((size_t)length >= size)
		memcpy(buffer + size - 4, "...", 4);
}

static void render(struct tl_error *error)
{
	size_t used = 0;

	if (error->path[0] != '\0')
		used = (size_t)snprintf(error->text, sizeof(error->text), "%s: ", error->path);
	used += (size_t)snprintf(error->text + used, sizeof(error->text) - used, "%s",
				 error->message);
	if (error->line > 0)
		snprintf(error->text + used, sizeof(error->text) - used, " (%.64s:%d)", error->file,
			 error->line);
}

/* A message may quote what stands in a file: that must not get at a terminal or forge lines of a log. */
static void blank_controls(char *text)
{
	for (; *text != '\0'; text++) {
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			*text = '?';
	}
}

void tl_error_fill(struct tl_error *error, const char *file, int line, int code, const char *format,
		   va_list arguments)
{
	error->code = code;
	error->file = base_name(file);
	error->line = line;
	error->path[0] = '\0';
	error->note_count = 0;
	error->note_used = 0;
	print_cut(error->message, sizeof(error->message), format, arguments);
	blank_controls(error->message);
	render(error);
}

void tl_error_prefix(struct tl_error *error, const char *name, uint64_t step)
{
	char whole[3 * TL_ERROR_PATH];
	char number[24] = "";
	size_t length = 0;

	if (step > 0)
		snprintf(number, sizeof(number), " %" PRIu64, step);
	length = (size_t)snprintf(whole, sizeof(whole), "%.*s%s%s%s", TL_ERROR_PATH, name, number,
				  error->path[0] != '\0' ? " > " : "", error->path);
	if (length < sizeof(error->path)) {
		memcpy(error->path, whole, length + 1);
	} else {
		/* the inner end of the path tells more than the outer one */
		memcpy(error->path, whole + length + 1 - sizeof(error->path), sizeof(error->path));
		memcpy(error->path, "...", 3);
	}
	render(error);
}

void tl_error_note_add(struct tl_error *error, const char *text)
{
	static const char cut[] = "...";
	size_t room = sizeof(error->notes) - error->note_used;
	size_t size = strlen(text) + 1;
	char *note = error->notes + error->note_used;

	error->note_count++;
	if (room < sizeof(cut))
		return;
	if (size > room) {
		/* this fills the room, so that no later note can take this one's place */
		size = room;
		memcpy(note + size - sizeof(cut), cut, sizeof(cut));
		memcpy(note, text, size - sizeof(cut));
	} else {
		memcpy(note, text, size);
	}
	error->note_used += size;
}

int tl_error_set_at(const char *file, int line, TALLOC_CTX *mem_ctx, struct tl_error **error,
		    int code, const char *format, ...)
{
	va_list arguments;

	if (error == NULL)
		return code;
	*error = talloc(mem_ctx, struct tl_error);
	if (*error == NULL)
		return code;
	va_start(arguments, format);
	tl_error_fill(*error, file, line, code, format, arguments);
	va_end(arguments);
	return code;
}

int tl_error_code(const struct tl_error *error)
{
	return known(error)->code;
}

const char *tl_error_message(const struct tl_error *error)
{
	return known(error)->message;
}

const char *tl_error_path(const struct tl_error *error)
{
	return known(error)->path;
}

const char *tl_error_file(const struct tl_error *error)
{
	return known(error)->file;
}

int tl_error_line(const struct tl_error *error)
{
	return known(error)->line;
}

const char *tl_error_text(const struct tl_error *error)
{
	return known(error)->text;
}

size_t tl_error_note_count(const struct tl_error *error)
{
	return known(error)->note_count;
}

const char *tl_error_note(const struct tl_error *error, size_t index)
{
	size_t at = 0;

	if (error == NULL)
		return "";
	for (; index > 0 && at < error->note_used; index--)
		at += strlen(error->notes + at) + 1;
	return at < error->note_used ? error->notes + at : "";
}
