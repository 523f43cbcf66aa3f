// What all programs do alike: options, --help, errors in one line, exit codes. Knows nothing of torch;
// torch_program.h adds that.
//
//   int main(int argc, char** argv) {
//     Options o;
//     Program program({.name = "inspect_model",
//                      .usage = "--model DIR [options]",
//                      .about = "Prints the shapes of a model and what its cache takes.",
//                      .example = "inspect_model --model data/base_small"});
//     program.option("model", o.model, "DIR", "the model's folder (required)").flag("json", o.json, "print
//     JSON"); return program.run(argc, argv, [&] { inspect(o); });
//   }
#pragma once

#include <boost/program_options.hpp>
#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <type_traits>
#include <vector>

#include "core/errors.h"
#include "core/names.h"

namespace attnlab {

struct ProgramText {
  std::string name;
  std::string usage;    // the arguments after the name
  std::string about;    // one or more lines below it
  std::string example;  // a command line that works
  std::string exits = "0 done, 1 failed while running, 2 bad input";
  std::string interrupted = "interrupted";                  // printed with exit code 130
  std::string (*message)(const std::exception&) = nullptr;  // null: what()
};

class Program {
 public:
  explicit Program(ProgramText text);

  // An option with a value. Strings, numbers, or a vector of them for options that may be repeated. Numbers and
  // strings that are not empty stand in the help as the default.
  template <class Value>
  Program& option(const char* name, Value& value, const char* value_name, const std::string& help) {
    auto* semantic = boost::program_options::value(&value)->value_name(value_name);
    if constexpr (std::is_arithmetic_v<Value>) semantic->default_value(value);
    if constexpr (std::is_same_v<Value, std::string>)
      if (!value.empty()) semantic->default_value(value);
    return add(visible_, name, semantic, help);
  }
  // True if given.
  Program& flag(const char* name, bool& value, const std::string& help);
  Program& hidden_flag(const char* name, bool& value);
  // Arguments without a name; without this call they are refused.
  Program& positional(const char* name, std::vector<std::string>& values);

  // Parses, then calls `body`, which returns an exit code or nothing. --help prints the help to standard output
  // instead. Errors become "NAME: MESSAGE" on standard error: exit code 2 for InputError and bad command lines,
  // 130 for Interrupted, 1 for all else, full standard output included.
  template <class Body>
  int run(int argc, char** argv, Body&& body) {
    return run_any(argc, argv, [&]() -> int {
      if constexpr (std::is_void_v<decltype(body())>) {
        body();
        return 0;
      } else {
        return body();
      }
    });
  }

 private:
  using Options = boost::program_options::options_description;
  Program& add(Options& to, const std::string& name, const boost::program_options::value_semantic* semantic,
               const std::string& help);
  int run_any(int argc, char** argv, const std::function<int()>& body);
  // False if there is nothing more to do.
  bool parse(int argc, char** argv);
  void print_help() const;
  [[noreturn]] void refuse_unknown(const std::string& text) const;
  int fail(int code, const std::string& message) const;

  ProgramText text_;
  Options visible_, hidden_;
  std::string positional_;
};

// "note: TEXT" on standard error, each on a line.
void print_notes(const std::vector<std::string>& notes);

// Throws InputError unless the option was given.
void require_given(const char* option, const std::string& value, const std::string& expected);

// Throws InputError unless least <= value <= most.
void require_range(const char* option, int64_t value, int64_t least,
                   int64_t most = std::numeric_limits<int64_t>::max());

// Throws InputError unless the value is one of the names.
void require_name(const char* option, const std::string& value, const std::vector<std::string>& names);

// The value that the name stands for. Throws InputError with the nearest name.
template <NamedEnum E>
E parse_name(const char* option, const std::string& value) {
  require_name(option, value, all_names<E>());
  return *from_name<E>(value);
}

}  // namespace attnlab
