#include "tasks/sanitize.h"

#include <nlohmann/json.hpp>

#include "tasks/stops.h"
#include "tasks/unicode.h"
#include "text/utf8.h"

namespace attnlab {

extern const char* const kSanitizeScript;

bool continues_prompt(std::string_view reply) {
  const size_t first = reply.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return false;
  const size_t line_break = reply.rfind('\n', first);
  const size_t line = line_break == std::string_view::npos ? 0 : line_break + 1;
  const std::string_view indentation = reply.substr(line, first - line), rest = reply.substr(first);
  return (indentation.size() >= 2 || indentation == "\t") && !rest.starts_with("```") &&
         !rest.starts_with("~~~");
}

std::string sanitize_input(const Problem& problem, const std::string& reply, bool continuation,
                           const std::vector<std::string>& stops) {
  if (!continuation) return reply;
  return stripped(problem.prompt) + "\n" + replaced(until_stop(reply, stops), "\t", "    ");
}

std::vector<std::optional<std::string>> sanitize(Sandbox& sandbox, const std::vector<SanitizeInput>& inputs) {
  std::vector<std::string> texts;
  for (const auto& input : inputs) {
    const nlohmann::json given = {{"code", text::utf8_lossy(input.code)}, {"entry_point", input.entry_point}};
    texts.push_back(given.dump());
  }
  auto programs = sandbox.transform(kSanitizeScript, texts);
  for (auto& program : programs)
    if (program) *program = text::utf8_lossy(*program);
  return programs;
}

}  // namespace attnlab
