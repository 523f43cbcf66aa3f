#include "compare/grid.h"

#include "catch.h"
#include "compare/latex.h"

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

TEST_CASE("in LaTeX a second heading stands apart, and texts break their lines and their long words") {
  Grid texts{.titles = {"arm", "text"},
             .lines = {{.heading = "one"},
                       {.cells = {"a_b", "x\ny"}},
                       {.heading = "two"},
                       {.cells = {"a", std::string(30, 'z')}}},
             .columns = Columns::texts};
  const std::string latex = as_latex(texts);
  // "arm" and "a_b" have 3 characters of 0.02; what is left of 0.9 is the text's.
  CHECK_THAT(latex,
             ContainsSubstring("{p{0.060\\linewidth}p{0.840\\linewidth}}") &&
                 ContainsSubstring("x\\newline y") &&
                 ContainsSubstring("\\addlinespace\n\\multicolumn{2}{p{0.95\\linewidth}}{\\textbf{two}}") &&
                 ContainsSubstring("a\\_\\allowbreak{}b") &&
                 ContainsSubstring("& " + std::string(12, 'z') + "\\allowbreak{}" + std::string(12, 'z') +
                                   "\\allowbreak{}zzzzzz "));
  CHECK(latex.find("\\addlinespace") == latex.rfind("\\addlinespace"));
}

TEST_CASE("LaTeX gets commands or code points for characters that its fonts lack, and no bytes that are none") {
  CHECK(latex_text("5 ± 1 …") == "5 $\\pm$ 1 \\ldots{}");
  CHECK(latex_text("naïve") == "naïve");
  CHECK(latex_text("中\x01 \xFF") == "[U+4E2D][U+0001] [U+FFFD]");
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
