// Text as its tokens arrive: for streaming to a terminal, and for ending at a stop string.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "text/tokenizer.h"

namespace attnlab {

class TextStream {
 public:
  // The tokenizer must outlive the stream. `stops`: texts at which generation ends. `before`: the tokens that
  // the stream goes on from; they decide whether it begins with a space and are not part of its text.
  explicit TextStream(const Tokenizer& tokenizer, std::vector<std::string> stops = {},
                      std::vector<int64_t> before = {});

  // The next token. Returns true once the text holds a stop string; more tokens change nothing then.
  bool feed(int64_t id);
  // Text that is new since the last call and that no later token can change: bytes of an unfinished character,
  // and what may be the beginning of a stop string, are held back.
  std::string take();
  // What is left when no more tokens come.
  std::string rest();
  // The whole text, up to the stop string (not included) if there was one.
  std::string text() const;
  bool stopped() const { return stopped_; }

 private:
  void find_stop(size_t searched_from);
  size_t held_back() const;

  const Tokenizer& tokenizer_;
  std::vector<std::string> stops_;
  std::vector<int64_t> ids_;
  size_t context_ = 0, settled_ = 0;  // tokens before settled_ are in text_; decoding begins at context_
  std::string text_;                  // of whole characters
  std::string tail_;                  // of the tokens after them
  size_t taken_ = 0;
  bool stopped_ = false;
};

}  // namespace attnlab
