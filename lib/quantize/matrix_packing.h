// What a model's config says of its packed matrices: "quantization_config" of the hub's method "gptq". Without
// torch.
#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <set>
#include <string>

#include "core/names.h"
#include "quantize/quantize_options.h"

namespace attnlab {

// What qzeros hold: zero - 1 (the layout's first version), or zero.
enum class PackedFormat { gptq, gptq_v2 };
template <>
struct EnumNames<PackedFormat> {
  static constexpr std::array<std::pair<std::string_view, PackedFormat>, 2> rows{
      {{"gptq", PackedFormat::gptq}, {"gptq_v2", PackedFormat::gptq_v2}}};
};

struct MatrixPacking {
  int64_t bits = 4;
  int64_t group_size = 128;  // -1: all columns
  bool desc_act = false;     // columns of a group lie anywhere: g_idx says where
  bool sym = true;
  bool static_groups = false;
  bool true_sequential = true;
  double damping = 0.01;
  PackedFormat format = PackedFormat::gptq;
  // Linear layers that are kept whole, by their modules' names ("model.layers.0.self_attn.kv_b_proj"). Files
  // say it by what they hold.
  std::set<std::string> whole = {};

  int64_t zero_offset() const { return format == PackedFormat::gptq ? 1 : 0; }
  bool operator==(const MatrixPacking&) const = default;
};

// "quantization_config" of a config.json, named in errors. Throws InputError for another method, another
// format, bits or groups that are not read, and keys that are missing or of another type.
MatrixPacking read_matrix_packing(const nlohmann::json& map, const std::filesystem::path& file);
nlohmann::ordered_json write_matrix_packing(const MatrixPacking& packing);

// A matrix of such a shape has no place in the layout: words hold 32 numbers of a row and of a column. Empty:
// it has.
std::string packing_problem(int64_t in, int64_t out);

}  // namespace attnlab
