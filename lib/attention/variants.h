// The table of variants. A new one is two files in this folder and one row here; README.md walks through it.
// All others read variant_config.h: a file that includes this one is compiled again when any variant changes.
// Without torch.
#pragma once

#include <memory>
#include <tuple>
#include <type_traits>
#include <variant>

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
#include "attention/variant_config.h"
#include "attention/x_ecomla.h"
#include "attention/yoco.h"

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

struct VariantConfig::Held {
  detail::ConfigsOf<VariantTable>::type options;
};

template <class Self, class Visitor>
void VariantConfig::fields(Self& self, Visitor&& visit) {
  const auto visit_held = [&]<class Options>(Options& options) {
    std::remove_const_t<Options>::fields(options, visit);
  };
  if constexpr (std::is_const_v<Self>) {
    std::visit(visit_held, self.held_->options);
  } else {
    Held changed = *self.held_;
    std::visit(visit_held, changed.options);
    self.held_ = std::make_shared<const Held>(std::move(changed));
  }
}

}  // namespace attnlab
