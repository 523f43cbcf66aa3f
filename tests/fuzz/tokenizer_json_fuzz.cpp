// Bytes as a tokenizer.json: refused with InputError, or a tokenizer that encodes and decodes. A pattern may be
// too costly for a text (RunError); what else comes out of here is a finding.
#include <cstdint>
#include <string>
#include <string_view>

#include "core/errors.h"
#include "fuzz_file.h"
#include "text/tokenizer.h"
#include "text/utf8.h"

using namespace attnlab;

namespace {

constexpr std::string_view kTexts[] = {
    "", "ab abc  <s>ab\n\n1234 'll ▁a", "é\u0301\u1112\u1161\u11AB 中文 ½ﬁ😀 \u00A0\u2028 x",
    "a\xFF\xC3\xE2\x82z<0x0A>",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};

void use(const Tokenizer& tokenizer) {
  for (const std::string_view text : kTexts) {
    const auto ids = tokenizer.encode(text, true);
    for (const int64_t id : ids) ATTNLAB_CHECK(id >= 0);
    ATTNLAB_CHECK(text::is_valid_utf8(tokenizer.decode(ids, false)));
    ATTNLAB_CHECK(text::is_valid_utf8(tokenizer.decode(ids, true)));
    ATTNLAB_CHECK(tokenizer.encode(text, true) == ids);  // now from the cache
  }
  const std::vector<int64_t> all{
      -1, 0, 1, 2, 95, 96, 257, 258, tokenizer.vocab_size() - 1, tokenizer.vocab_size()};
  ATTNLAB_CHECK(text::is_valid_utf8(tokenizer.decode(all, false)));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    read_or_refuse([&] { use(Tokenizer::from_json(as_text(data, size))); });
  } catch (const RunError&) {
  }
  return 0;
}
