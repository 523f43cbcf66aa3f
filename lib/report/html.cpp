#include "report/html.h"

#include <nlohmann/json.hpp>

namespace attnlab::report {
namespace {

using nlohmann::json;

std::string dump(const json& data) { return data.dump(-1, ' ', false, json::error_handler_t::replace); }

// Through JSON and back: what is not UTF-8 is replaced on the way.
std::string as_utf8(std::string_view plain) {
  return json::parse(dump(json(std::string(plain)))).get<std::string>();
}

bool is_control(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return (byte < 0x20 && c != '\n' && c != '\t') || byte == 0x7F;
}

std::string escaped(std::string_view plain) {
  std::string out;
  for (const char c : as_utf8(plain)) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        is_control(c) ? out += "\uFFFD" : out += c;
    }
  }
  return out;
}

std::string opening(std::string_view name, const Attributes& attributes) {
  std::string out = "<";
  out += name;
  for (const auto& [key, value] : attributes) {
    out += " ";
    out += key;
    out += "=\"";
    out += escaped(value);
    out += "\"";
  }
  return out + ">";
}

}  // namespace

Html Html::trusted(std::string markup) {
  Html html;
  html.markup_ = std::move(markup);
  return html;
}

Html& Html::operator+=(const Html& more) {
  markup_ += more.markup_;
  return *this;
}

Html operator+(Html a, const Html& b) {
  a += b;
  return a;
}

Html text(std::string_view plain) { return Html::trusted(escaped(plain)); }

Html element(std::string_view name, const Attributes& attributes, const Html& content) {
  std::string out = opening(name, attributes);
  out += content.markup();
  out += "</";
  out += name;
  return Html::trusted(out + ">");
}

Html element(std::string_view name, const Html& content) { return element(name, {}, content); }

Html void_element(std::string_view name, const Attributes& attributes) {
  return Html::trusted(opening(name, attributes));
}

Html json_block(const json& data) {
  std::string out;
  for (const char c : dump(data)) c == '<' ? out += "\\u003c" : out += c;
  return element("script", {{"type", "application/json"}}, Html::trusted(out));
}

Html paragraph(std::string_view plain) { return element("p", text(plain)) + Html::trusted("\n"); }

// A line break right behind <pre> is not shown: one of our own protects the text's.
Html preformatted(std::string_view plain) { return element("pre", Html::trusted("\n") + text(plain)); }

Html code(std::string_view plain) { return element("code", text(plain)); }

Html foldable(const Html& summary, const Html& content) {
  return element("details", element("summary", summary) + content) + Html::trusted("\n");
}

Html section(const std::string& id, const std::string& title, const Html& content) {
  const Html heading = element("h2", {{"id", id + "-title"}}, text(title));
  return element("section", {{"id", id}, {"aria-labelledby", id + "-title"}},
                 Html::trusted("\n") + heading + Html::trusted("\n") + content) +
         Html::trusted("\n");
}

}  // namespace attnlab::report
