// Streaming: pieces add up to the decoded text, whole characters only, and stop strings are found wherever
// tokens cut them.
#include "text/text_stream.h"

#include "catch.h"
#include "small_tokenizers.h"
#include "text/utf8.h"

namespace attnlab {
namespace {

// Feeds text byte by byte through a tokenizer that has one token for each byte.
struct Streamed {
  std::string pieces, text;
  size_t fed = 0;
  bool stopped = false;
};

Streamed stream(const Tokenizer& tokenizer, const std::string& text, std::vector<std::string> stops = {}) {
  TextStream out(tokenizer, std::move(stops));
  Streamed result;
  for (const int64_t id : tokenizer.encode(text)) {
    ++result.fed;
    if (out.feed(id)) break;
    const std::string piece = out.take();
    CHECK(text::is_valid_utf8(piece));
    result.pieces += piece;
  }
  result.stopped = out.stopped();
  result.pieces += out.rest();
  result.text = out.text();
  return result;
}

TEST_CASE("pieces of a stream add up to the text, in whole characters") {
  const Tokenizer tokenizer = test::load_json(test::byte_fallback_json());
  for (const std::string text :
       {"", "a", "plain text, with spaces", "naïve", "日本語 and 🙂🙂 end", "tail é"}) {
    INFO(text);
    const Streamed result = stream(tokenizer, text);
    CHECK(result.pieces == text);
    CHECK(result.text == text);
    CHECK_FALSE(result.stopped);
  }
}

TEST_CASE("an unfinished character is held back until the end, then shown as U+FFFD") {
  const Tokenizer tokenizer = test::load_json(test::byte_fallback_json());
  const auto ids = tokenizer.encode("ab🙂");
  TextStream out(tokenizer);
  std::string pieces;
  for (size_t i = 0; i + 1 < ids.size(); ++i) {
    out.feed(ids[i]);
    pieces += out.take();
  }
  CHECK(pieces == "ab");
  const std::string rest = out.rest();
  CHECK(text::is_valid_utf8(rest));
  CHECK_THAT(rest, ContainsSubstring("\xEF\xBF\xBD"));
  CHECK(out.text() == pieces + rest);
}

TEST_CASE(
    "a stream that goes on from tokens keeps the space between them, and looks for stops behind them only") {
  const Tokenizer tokenizer = test::load_json(test::byte_fallback_json());
  const auto before = tokenizer.encode("aa stop");
  const auto all = tokenizer.encode("aa stop a stop");
  TextStream out(tokenizer, {"stop"}, before);
  for (size_t i = before.size(); i < all.size() && !out.feed(all[i]); ++i) {
  }
  CHECK(out.stopped());
  CHECK(out.text() == " a ");
}

TEST_CASE("generation ends before the first stop string, and what may begin one is held back") {
  const Tokenizer tokenizer = test::load_json(test::byte_fallback_json());
  const Streamed result = stream(tokenizer, "one\n\nclass two", {"\ndef", "\n\nclass"});
  CHECK(result.stopped);
  CHECK(result.text == "one");
  CHECK(result.pieces == "one");
  CHECK(result.fed < tokenizer.encode("one\n\nclass two").size());
  const Streamed near_miss = stream(tokenizer, "one\n\nclasp\n", {"\n\nclass"});
  CHECK_FALSE(near_miss.stopped);
  CHECK(near_miss.pieces == "one\n\nclasp\n");
  CHECK(stream(tokenizer, "xaab", {"aab"}).text == "x");
  CHECK(stream(tokenizer, "stop", {"", "op"}).text == "st");
}

}  // namespace
}  // namespace attnlab
