// Final answers of word problems.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace attnlab {

// The number behind the first "#### " of a reply: "#### $1,234." gives "1234", commas between digits count
// nothing (GSM8K's convention). A number is read whole or not at all: "1/2", "12abc", "1e3", "3:30" and "1.2.3"
// are none, "5 dollars" and "50%" are numbers with a unit. Empty if there is none.
std::string extract_answer(std::string_view output);

// What a worked solution ends with.
struct FinalAnswer {
  std::string number;  // as extract_answer gives it; empty if there is none
  std::string text;    // what stands behind the mark, up to the line's end
};

// The answer behind the last line that begins with "#### "; where none does, behind the last "#### ". "#### 1.
// Sum" is a heading, and no number. Nothing if there is no such mark.
std::optional<FinalAnswer> final_answer(std::string_view solution);

// Counts final answers that look like numbers and are none.
class AnswersWithoutNumber {
 public:
  // The gold of a solution: its final answer's number, "" for what looks like one and is none, nothing where
  // there is no final answer.
  std::optional<std::string> gold_of(std::string_view solution, int64_t line);
  void note(const std::filesystem::path& path, std::vector<std::string>& notes) const;

 private:
  int64_t count_ = 0, first_line_ = 0;
  std::string first_;
};

// Whether two extracted answers are the same number as text: "072", "72.00" and "72" are. An empty answer
// matches nothing.
bool exact_match(std::string_view extracted, std::string_view gold);

}  // namespace attnlab
