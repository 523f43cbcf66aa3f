// judge_programs FILE.jsonl [SECONDS [WORKERS]]: one object {"program", "tests", "entry_point"} a line; prints
// one verdict a line, and on standard error how many programs a second. "-": from standard input, each one
// answered before the next is read.
#include <chrono>
#include <cstdlib>
#include <iostream>

#include "core/errors.h"
#include "core/jsonl.h"
#include "sandbox/sandbox.h"

namespace {

using namespace attnlab;

TestedProgram program_of(const nlohmann::json& row) {
  return {row.at("program"), row.at("tests"), row.value("entry_point", "")};
}

void print(const CodeVerdict& verdict) {
  const nlohmann::json row{
      {"outcome", name_of(verdict.outcome)}, {"result", verdict.result}, {"seconds", verdict.seconds}};
  std::cout << row.dump() << std::endl;
}

void judge_file(Sandbox& sandbox, const char* path) {
  std::vector<TestedProgram> programs;
  for_each_record(path, [&](const Record& record) { programs.push_back(program_of(record.object)); });
  const auto start = std::chrono::steady_clock::now();
  for (const CodeVerdict& verdict : sandbox.judge(programs)) print(verdict);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  std::cerr << programs.size() << " programs in " << seconds.count()
            << " s: " << static_cast<double>(programs.size()) / seconds.count() << " a second\n";
}

}  // namespace

int main(int argc, char* argv[]) {
  if (argc < 2 || argc > 4) {
    std::cerr << "usage: judge_programs FILE.jsonl [SECONDS [WORKERS]]\n";
    return 2;
  }
  try {
    SandboxOptions options;
    if (argc > 2) options.seconds = std::atof(argv[2]);
    if (argc > 3) options.workers = std::atoi(argv[3]);
    Sandbox sandbox(options);
    if (std::string(argv[1]) != "-") {
      judge_file(sandbox, argv[1]);
      return 0;
    }
    for (std::string line; std::getline(std::cin, line);)
      print(sandbox.judge({program_of(nlohmann::json::parse(line))})[0]);
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
}
