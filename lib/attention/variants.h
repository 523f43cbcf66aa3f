// The table of variants. A new one is two files in this folder and one row here; README.md walks through it.
// Without torch.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <variant>
#include <vector>

#include "attention/care.h"
#include "attention/cla.h"
#include "attention/deepseek_mla.h"
#include "attention/gated_linear.h"
#include "attention/gla.h"
#include "attention/gqa.h"
#include "attention/gqla.h"
#include "attention/gta.h"
#include "attention/linear_attention.h"
#include "attention/mamba.h"
#include "attention/mamba2.h"
#include "attention/mha2mla.h"
#include "attention/mla_deepseek.h"
#include "attention/mla_identity.h"
#include "attention/mla_orthogonal.h"
#include "attention/mla_v2.h"
#include "attention/native_recurrence.h"
#include "attention/rwkv6.h"
#include "attention/rwkv7.h"
#include "attention/torch_script.h"
#include "attention/tpa.h"
#include "attention/x_ecomla.h"
#include "attention/yoco.h"
#include "core/fields.h"

namespace attnlab {

using VariantTable = std::tuple<  //
    Gqa,                          //
    MlaIdentity,                  //
    MlaOrthogonal,                //
    DeepseekMla,                  //
    MlaV2,                        //
    MlaDeepseek,                  //
    Mha2Mla,                      //
    Care,                         //
    Gta,                          //
    LinearAttention,              //
    GatedLinear,                  //
    Mamba2,                       //
    Mamba,                        //
    Rwkv6,                        //
    Rwkv7,                        //
    Gla,                          //
    Gqla,                         //
    Tpa,                          //
    NativeRecurrence,             //
    XEcomla,                      //
    Cla,                          //
    Yoco,                         //
    TorchScript>;

namespace detail {
template <class Table>
struct ConfigsOf;
template <Variant... Rows>
struct ConfigsOf<std::tuple<Rows...>> {
  using type = std::variant<typename Rows::Config...>;
};
}  // namespace detail

// The options of one variant; the alternative held says which variant it is.
using VariantConfig = detail::ConfigsOf<VariantTable>::type;

// Names in the table's order.
std::vector<std::string> variant_names();
// Those that a base of this shape can be given, at their defaults.
std::vector<std::string> variant_names_for(const AttentionShape& shape);
std::string variant_name(const VariantConfig& config);
// The variant's options at their defaults; nullopt for an unknown name.
std::optional<VariantConfig> variant_defaults(const std::string& name);
// Why this variant can't be built with this shape, if so (key and range; the caller adds file and line).
std::optional<BadInput> variant_problem(const AttentionShape& shape, const VariantConfig& config);
// How wide the rotary tables are that the variant reads, where the base's would be `base_turning_dim`.
int64_t variant_turning_dim(const AttentionShape& shape, const VariantConfig& config, int64_t base_turning_dim);
// The layers of the base whose keys and values, on average, convert_from_gqa is to be given for this one.
std::vector<int64_t> variant_kv_layers(const AttentionShape& shape, const VariantConfig& config);
// Its options by their keys (core/fields.h).
FlatFields variant_fields(const VariantConfig& config);
// The facts that every row states (variant.h).
MadeBy variant_made_by(const VariantConfig& config);
bool variant_is_exact(const AttentionShape& shape, const VariantConfig& config);
int64_t variant_rank(const AttentionShape& shape, const VariantConfig& config);
// The named variant's defaults with a cache of at most `numbers` per token; nullopt: it has no such choice.
std::optional<VariantConfig> variant_with_cache(const std::string& name, const AttentionShape& shape,
                                                int64_t numbers);
// A module with uninitialised weights. `variant_problem` must have been empty.
std::shared_ptr<Mixer> make_mixer(const AttentionShape& shape, const VariantConfig& config);
// The variant's tensors, by its parameter names, that compute what the GQA weights compute (exactly or, with
// rank truncation, as nearly as the rank allows). Same dtype and device as the input; algebra in double.
TensorMap convert_from_gqa(const AttentionShape& shape, const VariantConfig& config, const GqaWeights& gqa);

}  // namespace attnlab
