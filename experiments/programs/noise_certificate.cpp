// noise_certificate DIR: how much of a score's variance comes from where.
#include <fmt/format.h>

#include <string>
#include <vector>

#include "compare/noise.h"
#include "program.h"

int main(int argc, char** argv) {
  using namespace attnlab;
  std::vector<std::string> folders;
  bool markdown = false;
  Program program(
      {.name = "noise_certificate",
       .usage = "DIR [options]",
       .about =
           "DIR holds a folder for each factor (seed, data_order, sampling, batch, dtype, prompt, …) with\n"
           "evaluations that differ in it alone: files of eval_model --out, or of runs\n"
           "(tasks.seed*.step*.h5). Prints what each factor adds to the score of each task.",
       .example = "noise_certificate results/noise"});
  program.positional("folders", folders).flag("markdown", markdown, "print a Markdown table");
  return program.run(argc, argv, [&] {
    if (folders.size() != 1) throw InputError(std::string("one DIR is expected (see --help)"));
    const Grid grid = noise_grid(noise_components(folders.front()));
    fmt::print("{}\n{}\n", markdown ? as_markdown(grid) : as_text(grid), noise_note());
  });
}
