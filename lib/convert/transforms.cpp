#include <algorithm>
#include <type_traits>

#include "convert/care_transform.h"
#include "convert/deepseek_transform.h"
#include "convert/mha2mla_transform.h"
#include "convert/transform.h"
#include "convert/weights_transform.h"
#include "core/errors.h"

namespace attnlab {
namespace {

using Maker = std::unique_ptr<Transform> (*)(const DecoderConfig&, const VariantConfig&,
                                             const TransformOptions&);
struct Row {
  std::string_view variant;
  Maker make;
};

const std::vector<Row>& rows() {
  static const std::vector<Row> table{
      {MlaIdentity::kName, make_weights_transform}, {MlaOrthogonal::kName, make_weights_transform},
      {MlaV2::kName, make_weights_transform},       {MlaDeepseek::kName, make_deepseek_transform},
      {Mha2Mla::kName, make_mha2mla_transform},     {Care::kName, make_care_transform}};
  return table;
}

}  // namespace

bool Transform::is_calibrated() const {
  return std::any_of(stages().begin(), stages().end(), [](const Stage& stage) { return stage.calibrated; });
}

std::vector<std::string> transform_names() {
  std::vector<std::string> names;
  for (const auto& row : rows()) names.emplace_back(row.variant);
  return names;
}

std::unique_ptr<Transform> make_transform(const DecoderConfig& base, const VariantConfig& target,
                                          const TransformOptions& options) {
  const std::string name = variant_name(target);
  for (const auto& row : rows())
    if (row.variant == name) return row.make(base, target, options);
  throw InputError(
      BadInput{.key = "variant", .found = "'" + name + "'", .expected = "one of " + join(transform_names())});
}

GqaWeights gqa_of(const TensorMap& attention) {
  const auto find = [&](const char* name) {
    const auto found = attention.find(name);
    return found == attention.end() ? torch::Tensor() : found->second;
  };
  return {.q_weight = find("q_proj.weight"),
          .k_weight = find("k_proj.weight"),
          .v_weight = find("v_proj.weight"),
          .o_weight = find("o_proj.weight"),
          .q_bias = find("q_proj.bias"),
          .k_bias = find("k_proj.bias"),
          .v_bias = find("v_proj.bias"),
          .o_bias = find("o_proj.bias"),
          .q_norm = find("q_norm.weight"),
          .k_norm = find("k_norm.weight")};
}

}  // namespace attnlab
