#include "quantize/matrix_packing.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "core/json.h"

namespace attnlab {
namespace {

using nlohmann::json;

constexpr const char* kKey = "quantization_config";

[[noreturn]] void refuse(const std::filesystem::path& file, const std::string& key, const std::string& found,
                         const std::string& expected) {
  throw InputError(BadInput{
      .file = file.string(), .key = fmt::format("{}.{}", kKey, key), .found = found, .expected = expected});
}

std::string shown(const json& map, const std::string& key) {
  const auto found = map.find(key);
  return found == map.end() ? "nothing"
                            : printable(found->dump(-1, ' ', false, json::error_handler_t::replace));
}

int64_t integer(const json& map, const std::filesystem::path& file, const std::string& key) {
  const auto found = map.find(key);
  const bool fits = found != map.end() && found->is_number_integer() &&
                    (!found->is_number_unsigned() || found->get<uint64_t>() <= uint64_t{1} << 62);
  if (!fits) refuse(file, key, shown(map, key), "a whole number");
  return found->get<int64_t>();
}

bool flag(const json& map, const std::filesystem::path& file, const std::string& key, bool fallback) {
  const auto found = map.find(key);
  if (found == map.end() || found->is_null()) return fallback;
  if (!found->is_boolean()) refuse(file, key, shown(map, key), "true or false");
  return found->get<bool>();
}

}  // namespace

MatrixPacking read_matrix_packing(const json& map, const std::filesystem::path& file) {
  if (!map.is_object())
    throw InputError(BadInput{.file = file.string(),
                              .key = kKey,
                              .found = printable(map.dump(-1, ' ', false, json::error_handler_t::replace)),
                              .expected = "a map, or nothing"});
  if (const auto method = map.find("quant_method"); method == map.end() || *method != "gptq")
    refuse(file, "quant_method", shown(map, "quant_method"), "\"gptq\": other quantised weights are not read");
  MatrixPacking packing{.bits = integer(map, file, "bits"), .group_size = integer(map, file, "group_size")};
  if (const auto problem = quantize_problem(packing.bits, packing.group_size))
    refuse(file, problem->key, problem->found, problem->expected);
  packing.desc_act = flag(map, file, "desc_act", false);
  packing.sym = flag(map, file, "sym", true);
  packing.static_groups = flag(map, file, "static_groups", false);
  packing.true_sequential = flag(map, file, "true_sequential", true);
  if (const auto damping = map.find("damp_percent"); damping != map.end() && damping->is_number())
    packing.damping = damping->get<double>();
  if (const auto name = map.find("checkpoint_format"); name != map.end() && !name->is_null()) {
    const auto format = name->is_string() ? from_name<PackedFormat>(name->get<std::string>()) : std::nullopt;
    if (!format) refuse(file, "checkpoint_format", shown(map, "checkpoint_format"), "gptq or gptq_v2");
    packing.format = *format;
  }
  return packing;
}

nlohmann::ordered_json write_matrix_packing(const MatrixPacking& packing) {
  nlohmann::ordered_json out{{"bits", packing.bits},
                             {"group_size", packing.group_size},
                             {"damp_percent", packing.damping},
                             {"desc_act", packing.desc_act},
                             {"static_groups", packing.static_groups},
                             {"sym", packing.sym},
                             {"true_sequential", packing.true_sequential},
                             {"quant_method", "gptq"},
                             {"checkpoint_format", name_of(packing.format)}};
  // GPTQModel's way to say that a module stays as it is: a pattern behind "-:".
  for (const auto& name : packing.whole) {
    std::string pattern = "-:^";
    for (const char c : name) pattern += c == '.' ? "\\." : std::string(1, c);
    out["dynamic"][pattern + "$"] = nlohmann::ordered_json::object();
  }
  return out;
}

std::string packing_problem(int64_t in, int64_t out) {
  constexpr int64_t word = 32;
  if (in % word == 0 && out % word == 0) return "";
  return fmt::format("{} inputs and {} outputs, of which the layout takes multiples of {}", in, out, word);
}

}  // namespace attnlab
