// Markup that is safe to join: text enters through text() alone, which escapes it.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace attnlab::report {

// A piece of HTML or SVG in which every element is closed.
class Html {
 public:
  Html() = default;
  // Markup of our own; never a text from a file.
  static Html trusted(std::string markup);
  Html& operator+=(const Html& more);
  const std::string& markup() const { return markup_; }
  bool empty() const { return markup_.empty(); }

 private:
  std::string markup_;
};
Html operator+(Html a, const Html& b);

using Attributes = std::vector<std::pair<std::string, std::string>>;

// The text as it is read: markup, quotes and "</script>" in it are text. Bytes that are not UTF-8 and control
// characters become U+FFFD.
Html text(std::string_view plain);
// <name attributes>content</name>; values of attributes are escaped like text.
Html element(std::string_view name, const Attributes& attributes, const Html& content = {});
Html element(std::string_view name, const Html& content);
// An element that has no content: <br>, <img>.
Html void_element(std::string_view name, const Attributes& attributes);

// Data for a script: it can't end the <script> that holds it.
Html json_block(const nlohmann::json& data);

Html paragraph(std::string_view plain);
// Lines and spaces as they stand.
Html preformatted(std::string_view plain);
Html code(std::string_view plain);
// Content below a line that unfolds it.
Html foldable(const Html& summary, const Html& content);
// A chapter of the page with its heading.
Html section(const std::string& id, const std::string& title, const Html& content);

}  // namespace attnlab::report
