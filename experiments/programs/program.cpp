#include "program.h"

#include <fmt/format.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <sstream>

#include "core/interrupt.h"

namespace attnlab {
namespace po = boost::program_options;

namespace {
constexpr unsigned kHelpColumns = 100;

// Past a limit on the size of files (ulimit -f) a write then fails as on a full disk, instead of ending the
// process. A handler, unlike SIG_IGN, is not handed on to programs that are started.
void catch_file_limit() {
  std::signal(SIGXFSZ, [](int) {});
}

}  // namespace

Program::Program(ProgramText text)
    : text_(std::move(text)), visible_("Options", kHelpColumns), hidden_("", kHelpColumns) {}

Program& Program::add(Options& to, const std::string& name, const po::value_semantic* semantic,
                      const std::string& help) {
  to.add_options()(name.c_str(), semantic, help.c_str());
  return *this;
}

Program& Program::flag(const char* name, bool& value, const std::string& help) {
  return add(visible_, name, po::bool_switch(&value), help);
}

Program& Program::hidden_flag(const char* name, bool& value) {
  return add(hidden_, name, po::bool_switch(&value), "");
}

Program& Program::positional(const char* name, std::vector<std::string>& values) {
  positional_ = name;
  return add(hidden_, name, po::value(&values), "");
}

void Program::print_help() const {
  std::ostringstream options;
  options << visible_;
  fmt::print("Usage: {} {}\n{}\n\n{}\nExample: {}\nExit codes: {}\n", text_.name, text_.usage, text_.about,
             options.str(), text_.example, text_.exits);
}

void Program::refuse_unknown(const std::string& text) const {
  const std::string option = text.substr(0, text.find('='));
  std::vector<std::string> names;
  for (const auto& known : visible_.options()) names.push_back("--" + known->long_name());
  const std::string nearest = nearest_name(option, names);
  throw InputError(fmt::format("unknown option '{}'{} (see --help)", option,
                               nearest.empty() ? "" : fmt::format("; did you mean '{}'?", nearest)));
}

bool Program::parse(int argc, char** argv) {
  visible_.add_options()("help,h", "print this");
  po::options_description all;
  all.add(visible_).add(hidden_);
  po::positional_options_description named;
  if (!positional_.empty()) named.add(positional_.c_str(), -1);
  po::command_line_parser parser(argc, argv);
  // Guessing would let "--out" mean "--output" until the day a second such option comes.
  parser.options(all).style(po::command_line_style::unix_style & ~po::command_line_style::allow_guessing);
  if (!positional_.empty()) parser.positional(named);
  const po::parsed_options parsed = parser.run();
  for (const auto& option : parsed.options)
    if (option.string_key.empty() && !option.value.empty())
      throw InputError(fmt::format("found '{}' without an option's name (see --help)", option.value.front()));
  po::variables_map values;
  po::store(parsed, values);
  if (values.count("help") > 0) {
    print_help();
    return false;
  }
  po::notify(values);
  return true;
}

int Program::fail(int code, const std::string& message) const {
  std::fflush(stdout);  // what was printed before comes first
  fmt::print(stderr, "{}: {}\n", text_.name, message);
  return code;
}

int Program::run_any(int argc, char** argv, const std::function<int()>& body) {
  catch_file_limit();
  std::setvbuf(stdout, nullptr, _IOLBF,
               BUFSIZ);  // notes on stderr stand behind what was printed before, in a pipe, too
  try {
    int code = 0;
    try {
      if (parse(argc, argv)) code = body();
    } catch (const po::unknown_option& error) {
      refuse_unknown(error.get_option_name());
    }
    if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0)
      throw RunError("standard output cannot be written");
    return code;
  } catch (const Interrupted&) {
    return fail(130, text_.interrupted);
  } catch (const InputError& error) {
    return fail(2, error.what());
  } catch (const po::error& error) {
    return fail(2, fmt::format("{} (see --help)", error.what()));
  } catch (const std::exception& error) {
    return fail(1, text_.message ? text_.message(error) : error.what());
  }
}

void print_notes(const std::vector<std::string>& notes) {
  for (const auto& note : notes) fmt::print(stderr, "note: {}\n", note);
}

void require_given(const char* option, const std::string& value, const std::string& expected) {
  if (value.empty()) throw InputError(BadInput{.file = option, .expected = expected + " (see --help)"});
}

void require_range(const char* option, int64_t value, int64_t least, int64_t most) {
  if (value >= least && value <= most) return;
  const bool open = most == std::numeric_limits<int64_t>::max();
  throw InputError(BadInput{.file = option,
                            .found = fmt::format("{}", value),
                            .expected = open ? fmt::format("a whole number from {}", least)
                                             : fmt::format("a whole number from {} to {}", least, most)});
}

void require_name(const char* option, const std::string& value, const std::vector<std::string>& names) {
  if (std::find(names.begin(), names.end(), value) != names.end()) return;
  throw InputError(BadInput{.file = option,
                            .found = "'" + value + "'",
                            .expected = one_of(names, value),
                            .nearest = nearest_name(value, names)});
}

}  // namespace attnlab
