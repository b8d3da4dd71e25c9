/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * How it learns: each different word is kept once, as a row of tokens, with how often it occurs. For
 * each pair of neighbours it is known how often it occurs and in which words. So to learn a token,
 * the most frequent pair is taken from a heap, and only the words that have it are gone through.
 * What stands in the heap may be out of date, as counts sink when neighbours become other tokens;
 * that is noticed when it comes out, and it goes in again with the count that it has now.
 */
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <tloop.h>

#include "examples/bpe.h"

enum { LONGEST_WORD = 64 }; /* what is longer is cut; encoding takes the square of it */

struct word {
	uint64_t count;
	uint32_t first, length; /* in tokens */
};

struct pair {
	uint64_t count;
	uint16_t left, right;
	uint32_t used;   /* of words */
	uint32_t *words; /* in which it occurs, or did */
};

struct heap_entry {
	uint64_t count;
	uint32_t pair;
};

/* From keys to places in an array; the keys stand there, so a slot is only a place, from 1. */
struct table {
	uint32_t *slots;
	size_t size; /* a power of two */
	size_t used;
};

struct bpe {
	uint8_t bytes[BPE_BYTES]; /* the texts of the first tokens */
	struct bpe_token *tokens;
	size_t token_count;

	uint16_t *text; /* of all words */
	size_t text_size;
	struct word *words;
	size_t word_count;
	struct table word_table;

	struct pair *pairs;
	size_t pair_count;
	struct table pair_table;  /* while learning */
	struct table merge_table; /* pairs that are tokens */
	struct heap_entry *heap;
	size_t heap_count;
};

/* Memory that grows */

/* Makes room for one more behind `count`, by doubling. */
static void *grow(TALLOC_CTX *mem_ctx, void *array, size_t size, size_t count)
{
	size_t room = talloc_get_size(array) / size;

	if (count < room)
		return array;
	return talloc_realloc_size(mem_ctx, array, (2 * count + 16) * size);
}

#define GROW(bpe, array, count) grow(bpe, array, sizeof(*(array)), count)

/* Tables */

static uint64_t mix(uint64_t h)
{
	h = (h ^ (h >> 31)) * UINT64_C(0x7fb5d329728ea185);
	h = (h ^ (h >> 27)) * UINT64_C(0x81dadef4bc2dd44d);
	return h ^ (h >> 33);
}

static uint64_t hash_pair(uint16_t left, uint16_t right)
{
	return mix(((uint64_t)left << 16) | right);
}

static uint64_t hash_word(const uint16_t *text, size_t length)
{
	uint64_t h = length;

	for (size_t i = 0; i < length; i++)
		h = (h + text[i]) * UINT64_C(0x100000001b3);
	return mix(h);
}

/* Twice as many slots; all that is in it is put in again, by its hash. */
static int table_grow(struct bpe *bpe, struct table *table,
		      uint64_t (*hash_at)(const struct bpe *, uint32_t))
{
	size_t size = table->size > 0 ? 2 * table->size : 1024;
	uint32_t *slots = talloc_zero_array(bpe, uint32_t, size);

	if (slots == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < table->size; i++) {
		size_t slot;

		if (table->slots[i] == 0)
			continue;
		slot = hash_at(bpe, table->slots[i] - 1) & (size - 1);
		while (slots[slot] != 0)
			slot = (slot + 1) & (size - 1);
		slots[slot] = table->slots[i];
	}
	talloc_free(table->slots);
	table->slots = slots;
	table->size = size;
	return 0;
}

static bool table_is_full(const struct table *table)
{
	return 2 * (table->used + 1) > table->size;
}

/* Words */

static uint64_t hash_word_at(const struct bpe *bpe, uint32_t place)
{
	const struct word *word = &bpe->words[place];

	return hash_word(&bpe->text[word->first], word->length);
}

static bool word_is(const struct bpe *bpe, const struct word *word, const uint16_t *text,
		    size_t length)
{
	return word->length == length &&
	       memcmp(&bpe->text[word->first], text, length * sizeof(*text)) == 0;
}

static int count_word(struct bpe *bpe, const uint16_t *text, size_t length)
{
	struct table *table = &bpe->word_table;
	struct word *words = NULL;
	uint16_t *all = NULL;
	size_t slot;

	if (table_is_full(table) && table_grow(bpe, table, hash_word_at) < 0)
		return -ENOMEM;
	slot = hash_word(text, length) & (table->size - 1);
	for (; table->slots[slot] != 0; slot = (slot + 1) & (table->size - 1)) {
		struct word *word = &bpe->words[table->slots[slot] - 1];

		if (word_is(bpe, word, text, length)) {
			word->count++;
			return 0;
		}
	}
	if (bpe->text_size > UINT32_MAX - LONGEST_WORD)
		return -EFBIG;
	words = GROW(bpe, bpe->words, bpe->word_count);
	if (words == NULL)
		return -ENOMEM;
	bpe->words = words;
	all = GROW(bpe, bpe->text, bpe->text_size + LONGEST_WORD);
	if (all == NULL)
		return -ENOMEM;
	bpe->text = all;
	memcpy(&all[bpe->text_size], text, length * sizeof(*text));
	words[bpe->word_count] = (struct word){ 1, (uint32_t)bpe->text_size, (uint32_t)length };
	bpe->text_size += length;
	table->slots[slot] = (uint32_t)++bpe->word_count;
	table->used++;
	return 0;
}

/* Letters go together, and digits, and what is neither. */
static int kind(uint8_t byte)
{
	if (byte == ' ' || byte == '\t' || byte == '\f')
		return 0;
	if (byte >= 0x80 || (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z'))
		return 1;
	return byte >= '0' && byte <= '9' ? 2 : 3;
}

/*
 * The length of the word at the beginning of a text: characters of one kind, with the space in front
 * of them. So " word" is one, which is most often where a word stands.
 */
static size_t word_length(const uint8_t *text, size_t size)
{
	const size_t most = size < LONGEST_WORD ? size : LONGEST_WORD;
	size_t n = 1;
	int of;

	if (text[0] == ' ' && most > 1 && kind(text[1]) != 0)
		n = 2;
	of = kind(text[n - 1]);
	while (n < most && kind(text[n]) == of)
		n++;
	/* of several spaces, the last one belongs to the word behind them */
	if (of == 0 && n > 1 && n < size && kind(text[n]) != 0 && text[n - 1] == ' ')
		n--;
	return n;
}

static size_t split_word(const uint8_t *text, size_t size, uint16_t word[LONGEST_WORD])
{
	const size_t length = word_length(text, size);

	for (size_t i = 0; i < length; i++)
		word[i] = text[i];
	return length;
}

int bpe_count(struct bpe *bpe, const uint8_t *text, size_t size)
{
	uint16_t word[LONGEST_WORD];
	int ret = 0;

	while (size > 0 && ret == 0) {
		size_t length = split_word(text, size, word);

		ret = count_word(bpe, word, length);
		text += length;
		size -= length;
	}
	return ret;
}

size_t bpe_words(const struct bpe *bpe)
{
	return bpe->word_count;
}

/* The heap: the pair that occurs most often is first; of those that occur as often, the oldest. */

static bool comes_before(struct heap_entry a, struct heap_entry b)
{
	return a.count != b.count ? a.count > b.count : a.pair < b.pair;
}

static int heap_push(struct bpe *bpe, struct heap_entry entry)
{
	struct heap_entry *heap = GROW(bpe, bpe->heap, bpe->heap_count);
	size_t at = bpe->heap_count;

	if (heap == NULL)
		return -ENOMEM;
	bpe->heap = heap;
	bpe->heap_count++;
	for (; at > 0 && comes_before(entry, heap[(at - 1) / 2]); at = (at - 1) / 2)
		heap[at] = heap[(at - 1) / 2];
	heap[at] = entry;
	return 0;
}

static struct heap_entry heap_pop(struct bpe *bpe)
{
	struct heap_entry *heap = bpe->heap;
	const struct heap_entry first = heap[0], last = heap[--bpe->heap_count];
	size_t at = 0, child;

	while ((child = 2 * at + 1) < bpe->heap_count) {
		if (child + 1 < bpe->heap_count && comes_before(heap[child + 1], heap[child]))
			child++;
		if (!comes_before(heap[child], last))
			break;
		heap[at] = heap[child];
		at = child;
	}
	heap[at] = last;
	return first;
}

/* Pairs */

static uint64_t hash_pair_at(const struct bpe *bpe, uint32_t place)
{
	return hash_pair(bpe->pairs[place].left, bpe->pairs[place].right);
}

/* Its pair; a new one if there is none. NULL if there is no memory. */
static struct pair *find_pair(struct bpe *bpe, uint16_t left, uint16_t right)
{
	struct table *table = &bpe->pair_table;
	struct pair *pairs = NULL;
	size_t slot;

	if (table_is_full(table) && table_grow(bpe, table, hash_pair_at) < 0)
		return NULL;
	slot = hash_pair(left, right) & (table->size - 1);
	for (; table->slots[slot] != 0; slot = (slot + 1) & (table->size - 1)) {
		struct pair *pair = &bpe->pairs[table->slots[slot] - 1];

		if (pair->left == left && pair->right == right)
			return pair;
	}
	pairs = GROW(bpe, bpe->pairs, bpe->pair_count);
	if (pairs == NULL)
		return NULL;
	bpe->pairs = pairs;
	pairs[bpe->pair_count] = (struct pair){ .left = left, .right = right };
	table->slots[slot] = (uint32_t)++bpe->pair_count;
	table->used++;
	return &pairs[bpe->pair_count - 1];
}

/*
 * Counts the pairs of a word. The word is noted with those that have a new token, or with all if
 * that is 0; with the others it is noted already.
 */
static int add_pairs(struct bpe *bpe, uint32_t number, uint16_t new_token)
{
	const struct word *word = &bpe->words[number];
	const uint16_t *text = &bpe->text[word->first];

	for (uint32_t i = 0; i + 1 < word->length; i++) {
		struct pair *pair = find_pair(bpe, text[i], text[i + 1]);
		uint32_t *words = NULL;

		if (pair == NULL)
			return -ENOMEM;
		pair->count += word->count;
		if (new_token != 0 && text[i] != new_token && text[i + 1] != new_token)
			continue;
		if (pair->used > 0 && pair->words[pair->used - 1] == number)
			continue;
		words = GROW(bpe, pair->words, pair->used);
		if (words == NULL)
			return -ENOMEM;
		pair->words = words;
		words[pair->used++] = number;
	}
	return 0;
}

/* Pairs that were not there before go into the heap. */
static int push_pairs(struct bpe *bpe, size_t first)
{
	int ret = 0;

	for (size_t i = first; i < bpe->pair_count && ret == 0; i++) {
		if (bpe->pairs[i].count > 1)
			ret = heap_push(bpe,
					(struct heap_entry){ bpe->pairs[i].count, (uint32_t)i });
	}
	return ret;
}

/* Tokens */

static uint64_t hash_merge_at(const struct bpe *bpe, uint32_t place)
{
	return hash_pair(bpe->tokens[place].left, bpe->tokens[place].right);
}

/* The token that two others make; 0 if there is none. */
static uint16_t find_merge(const struct bpe *bpe, uint16_t left, uint16_t right)
{
	const struct table *table = &bpe->merge_table;
	size_t slot;

	if (table->used == 0)
		return 0;
	slot = hash_pair(left, right) & (table->size - 1);
	for (; table->slots[slot] != 0; slot = (slot + 1) & (table->size - 1)) {
		const struct bpe_token *token = &bpe->tokens[table->slots[slot] - 1];

		if (token->left == left && token->right == right)
			return (uint16_t)(table->slots[slot] - 1);
	}
	return 0;
}

static int add_token(struct bpe *bpe, uint16_t left, uint16_t right)
{
	struct bpe_token *tokens = GROW(bpe, bpe->tokens, bpe->token_count);
	struct table *table = &bpe->merge_table;
	const struct bpe_token *a, *b;
	uint8_t *text = NULL;
	size_t slot;

	if (tokens == NULL)
		return -ENOMEM;
	bpe->tokens = tokens;
	if (table_is_full(table) && table_grow(bpe, table, hash_merge_at) < 0)
		return -ENOMEM;
	a = &tokens[left];
	b = &tokens[right];
	text = talloc_array(bpe, uint8_t, a->size + b->size);
	if (text == NULL)
		return -ENOMEM;
	memcpy(text, a->text, a->size);
	memcpy(text + a->size, b->text, b->size);
	tokens[bpe->token_count] = (struct bpe_token){ left, right, a->size + b->size, text };
	slot = hash_pair(left, right) & (table->size - 1);
	while (table->slots[slot] != 0)
		slot = (slot + 1) & (table->size - 1);
	table->slots[slot] = (uint32_t)++bpe->token_count;
	table->used++;
	return 0;
}

/* Puts a token for each pair in a row of tokens. Returns the new length. */
static size_t merge(uint16_t *text, size_t length, uint16_t left, uint16_t right, uint16_t token)
{
	size_t to = 0;

	for (size_t i = 0; i < length; i++) {
		bool is_pair = i + 1 < length && text[i] == left && text[i + 1] == right;

		text[to++] = is_pair ? token : text[i];
		i += is_pair;
	}
	return to;
}

/* The same in a word. Its other pairs occur as often as before, or less often. */
static int merge_word(struct bpe *bpe, uint32_t number, const struct bpe_token *token, uint16_t id)
{
	struct word *word = &bpe->words[number];
	uint16_t *text = &bpe->text[word->first];
	struct pair *pair = NULL;

	for (uint32_t i = 0; i + 1 < word->length; i++) {
		pair = find_pair(bpe, text[i], text[i + 1]);
		if (pair == NULL)
			return -ENOMEM;
		pair->count -= word->count;
	}
	word->length = (uint32_t)merge(text, word->length, token->left, token->right, id);
	return add_pairs(bpe, number, id);
}

static int learn_pair(struct bpe *bpe, uint32_t place)
{
	const size_t pairs_before = bpe->pair_count;
	const uint16_t id = (uint16_t)bpe->token_count;
	uint32_t *words = bpe->pairs[place].words;
	uint32_t used = bpe->pairs[place].used;
	int ret = add_token(bpe, bpe->pairs[place].left, bpe->pairs[place].right);

	/* other words can't get this pair any more */
	bpe->pairs[place].words = NULL;
	bpe->pairs[place].used = 0;
	for (uint32_t i = 0; i < used && ret == 0; i++)
		ret = merge_word(bpe, words[i], &bpe->tokens[id], id);
	talloc_free(words);
	return ret == 0 ? push_pairs(bpe, pairs_before) : ret;
}

static int start_learning(struct bpe *bpe)
{
	int ret = 0;

	for (size_t i = 0; i < bpe->word_count && ret == 0; i++)
		ret = add_pairs(bpe, (uint32_t)i, 0);
	return ret == 0 ? push_pairs(bpe, 0) : ret;
}

int bpe_learn(struct bpe *bpe)
{
	int ret = bpe->pair_count == 0 ? start_learning(bpe) : 0;

	if (ret < 0)
		return ret;
	while (bpe->heap_count > 0 && bpe->token_count < BPE_MOST) {
		struct heap_entry entry = heap_pop(bpe);
		uint64_t count = bpe->pairs[entry.pair].count;

		if (count == entry.count)
			return learn_pair(bpe, entry.pair);
		if (count > 1)
			ret = heap_push(bpe, (struct heap_entry){ count, entry.pair });
		if (ret < 0)
			return ret;
	}
	return TL_END;
}

/* Using it */

struct bpe *bpe_new(TALLOC_CTX *mem_ctx)
{
	struct bpe *bpe = talloc_zero(mem_ctx, struct bpe);

	if (bpe == NULL)
		return NULL;
	bpe->tokens = talloc_array(bpe, struct bpe_token, 2 * BPE_BYTES);
	if (bpe->tokens == NULL) {
		talloc_free(bpe);
		return NULL;
	}
	for (size_t i = 0; i < BPE_BYTES; i++) {
		bpe->bytes[i] = (uint8_t)i;
		bpe->tokens[i] = (struct bpe_token){ 0, 0, 1, &bpe->bytes[i] };
	}
	bpe->token_count = BPE_BYTES;
	return bpe;
}

size_t bpe_size(const struct bpe *bpe)
{
	return bpe->token_count;
}

const struct bpe_token *bpe_token(const struct bpe *bpe, size_t id)
{
	return &bpe->tokens[id];
}

/* The pair that was learnt first becomes a token, until none is left: as when they were learnt. */
static size_t encode_word(const struct bpe *bpe, uint16_t *word, size_t length)
{
	while (length > 1) {
		uint16_t first = 0;

		for (size_t i = 0; i + 1 < length; i++) {
			uint16_t token = find_merge(bpe, word[i], word[i + 1]);

			if (token != 0 && (first == 0 || token < first))
				first = token;
		}
		if (first == 0)
			break;
		length = merge(word, length, bpe->tokens[first].left, bpe->tokens[first].right,
			       first);
	}
	return length;
}

size_t bpe_encode(const struct bpe *bpe, const uint8_t *text, size_t size, uint16_t *tokens)
{
	uint16_t word[LONGEST_WORD];
	size_t count = 0;

	while (size > 0) {
		size_t length = split_word(text, size, word);
		size_t made = encode_word(bpe, word, length);

		memcpy(&tokens[count], word, made * sizeof(*word));
		count += made;
		text += length;
		size -= length;
	}
	return count;
}
