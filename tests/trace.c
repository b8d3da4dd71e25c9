/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <stdarg.h>
#include <stdio.h>

#include "tests/tl-check.h"
#include "tests/trace.h"

void trace_add(struct trace *trace, const char *format, ...)
{
	size_t room = sizeof(trace->text) - trace->length;
	va_list arguments;
	int length;

	if (trace->length > 0 && room > 1) {
		trace->text[trace->length++] = ' ';
		room--;
	}
	va_start(arguments, format);
	length = vsnprintf(trace->text + trace->length, room, format, arguments);
	va_end(arguments);
	if (length < 0 || (size_t)length >= room)
		ck_abort_msg("a trace of over %zu bytes", sizeof(trace->text));
	trace->length += (size_t)length;
}

void trace_clear(struct trace *trace)
{
	trace->length = 0;
	trace->text[0] = '\0';
}
