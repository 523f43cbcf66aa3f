#include "report/html.h"

#include <nlohmann/json.hpp>

#include "report/sample_results.h"

using namespace attnlab;
using namespace attnlab::report;

TEST_CASE("a text can't become markup, an attribute or the end of a script") {
  const std::string markup = text(test::hostile).markup();
  for (const char* broken : {"<", ">", "\"", "'"}) CHECK(markup.find(broken) == std::string::npos);
  CHECK(text("a & b").markup() == "a &amp; b");
  CHECK(element("a", {{"title", "\" onclick=\"alert(1)"}}, text("x")).markup() ==
        "<a title=\"&quot; onclick=&quot;alert(1)\">x</a>");
}

TEST_CASE("data for a script can't end it and reads back as it was") {
  const nlohmann::json data{{"arm", test::hostile}, {"loss", 1.25}};
  const std::string markup = json_block(data).markup();
  const std::string open = "<script type=\"application/json\">", close = "</script>";
  REQUIRE(markup.starts_with(open));
  const std::string inside = markup.substr(open.size(), markup.size() - open.size() - close.size());
  CHECK(inside.find('<') == std::string::npos);
  CHECK(nlohmann::json::parse(inside) == data);
}

TEST_CASE("bytes that are not UTF-8 and control characters are replaced, and line breaks kept") {
  const std::string replaced = "\xEF\xBF\xBD";
  CHECK(text("a\xFF"
             "b")
            .markup() == "a" + replaced + "b");
  CHECK(text(std::string("a\0b\x1B", 4)).markup() == "a" + replaced + "b" + replaced);
  CHECK(text("ä\n\tb").markup() == "ä\n\tb");
  CHECK_NOTHROW(json_block(nlohmann::json{{"text", "\xFF"}}));
}

TEST_CASE("a preformatted text keeps its first line break and its spaces") {
  // A browser drops one line break right behind <pre>.
  CHECK(preformatted("\n  x").markup() == "<pre>\n\n  x</pre>");
}

TEST_CASE("a section has a heading that names it") {
  const std::string markup = section("curves", "Curves & more", paragraph("x")).markup();
  CHECK_THAT(markup, ContainsSubstring("<section id=\"curves\" aria-labelledby=\"curves-title\">"));
  CHECK_THAT(markup, ContainsSubstring("<h2 id=\"curves-title\">Curves &amp; more</h2>"));
}
