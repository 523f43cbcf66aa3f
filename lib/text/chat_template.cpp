#include "text/chat_template.h"

#include "core/files.h"
#include "core/json.h"

namespace attnlab {
namespace {

std::string text_in(const nlohmann::json& map) {
  const auto found = map.find("chat_template");
  if (found == map.end()) return {};
  if (found->is_string()) return found->get<std::string>();
  std::string first;
  if (!found->is_array()) return first;
  for (const auto& named : *found) {
    if (!named.is_object() || !named.contains("template") || !named["template"].is_string()) continue;
    const auto text = named["template"].get<std::string>();
    if (named.value("name", nlohmann::json()) == "default") return text;
    if (first.empty()) first = text;
  }
  return first;
}

}  // namespace

std::string chat_template_beside(const std::filesystem::path& tokenizer) {
  const auto folder = tokenizer.parent_path();
  if (const auto file = folder / "chat_template.jinja"; std::filesystem::exists(file)) return read_file(file);
  for (const char* name : {"chat_template.json", "tokenizer_config.json"})
    if (const auto file = folder / name; std::filesystem::exists(file))
      if (auto text = text_in(parse_json_map(file)); !text.empty()) return text;
  return {};
}

std::vector<ChatFormat> formats_like(std::string_view text) {
  using enum ChatFormat;
  const auto has = [&](std::string_view part) { return text.find(part) != std::string_view::npos; };
  if (has("<|im_sep|>")) return {phi4};
  if (has("<|im_start|>")) return {has("You are Qwen") ? qwen25 : chatml};
  if (has("<|start_header_id|>")) return {llama3};
  if (has("<start_of_turn>")) return {gemma};
  if (has("<<SYS>>")) return {llama2};
  if (has("[INST]")) return {mistral, mistral_v3, mistral_nemo};
  if (has("<|end|>")) return {phi4_mini};
  return {};
}

}  // namespace attnlab
