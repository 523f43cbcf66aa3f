#include "compare/grid.h"

#include "catch.h"

using namespace attnlab;

namespace {

const Grid grid{
    .titles = {"arm", "loss ±"},
    .lines = {{.heading = "base_small"}, {.cells = {"a|b", "1 % & <2"}}, {.cells = {"[c]", "\\x{y}"}}}};

}  // namespace

TEST_CASE("a grid as Markdown keeps bars, angle brackets and line breaks inside their cells") {
  Grid texts = grid;
  texts.lines[1].cells[1] = "<b>\n|";
  CHECK(
      as_markdown(texts) ==
      "| arm | loss ± |\n| --- | ---: |\n| **base_small** |  |\n| a\\|b | &lt;b><br>\\| |\n| [c] | \\x{y} |\n");
  texts.columns = Columns::texts;
  CHECK_THAT(as_markdown(texts), ContainsSubstring("| --- | --- |"));
}

TEST_CASE("a grid as LaTeX is a tabular with booktabs' rules in which nothing is a command") {
  CHECK(as_latex(grid) ==
        "\\resizebox{\\ifdim\\width>\\columnwidth\\columnwidth\\else\\width\\fi}{!}{%\n"
        "\\begin{tabular}{lr}\n\\toprule\narm & loss $\\pm$ \\\\\n\\midrule\n"
        "\\multicolumn{2}{l}{\\textbf{base\\_small}} \\\\\n"
        "a\\textbar{}b & 1 \\% \\& \\textless{}2 \\\\\n"
        "{}[c] & \\textbackslash{}x\\{y\\} \\\\\n"
        "\\bottomrule\n\\end{tabular}}\n");
}

TEST_CASE("in LaTeX a second heading stands apart, and texts break their lines") {
  Grid texts{.titles = {"arm", "text"},
             .lines = {{.heading = "one"}, {.cells = {"a", "x\ny"}}, {.heading = "two"}, {.cells = {"a", "z"}}},
             .columns = Columns::texts};
  const std::string latex = as_latex(texts);
  CHECK_THAT(latex,
             ContainsSubstring("{lp{0.6\\linewidth}}") && ContainsSubstring("x\\newline y") &&
                 ContainsSubstring("\\addlinespace\n\\multicolumn{2}{p{0.95\\linewidth}}{\\textbf{two}}"));
  CHECK(latex.find("\\addlinespace") == latex.rfind("\\addlinespace"));
}

TEST_CASE("a grid as CSV has the heading in a column of its own, and quotes what it must") {
  CHECK(as_csv(grid) == "group,arm,loss ±\nbase_small,a|b,1 % & <2\nbase_small,[c],\\x{y}\n");
  const Grid plain{.titles = {"a", "b"}, .lines = {{.cells = {"x,y", "say \"z\""}}}};
  CHECK(as_csv(plain) == "a,b\n\"x,y\",\"say \"\"z\"\"\"\n");
}

TEST_CASE("a grid with chosen columns keeps its first one, its order and its headings") {
  const Grid wide{.titles = {"arm", "a", "b", "c"},
                  .lines = {{.heading = "one"}, {.cells = {"x", "1", "2", "3"}}, {.cells = {"y", "4"}}}};
  CHECK(as_csv(with_columns(wide, {"c", "a"})) == "group,arm,a,c\none,x,1,3\none,y,4\n");
  CHECK(as_csv(with_columns(wide, {"d"})) == as_csv(wide));
}
