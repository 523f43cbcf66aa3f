#include "kernels/latent_query.h"

#include <algorithm>

#include "kernels/fused.h"

#ifdef ATTNLAB_CUDA
#include "kernels/launch.h"
#endif

namespace attnlab {

#ifdef ATTNLAB_CUDA
namespace {

using torch::Tensor;

cuda::CudaDevice cuda_device(const Tensor& tensor) {
  const auto* properties = at::cuda::getDeviceProperties(tensor.device().index());
  return {.multiprocessors = properties->multiProcessorCount,
          .capability = 10 * properties->major + properties->minor,
          .shared_bytes = static_cast<int>(properties->sharedMemPerBlockOptin)};
}

cuda::LatentQueryLayout latent_layout(const Tensor& q_BNW, int64_t S, int64_t R) {
  return {.B = q_BNW.size(0),
          .N = q_BNW.size(1),
          .S = S,
          .R = static_cast<int>(R),
          .W = static_cast<int>(q_BNW.size(2)),
          .latent_b = 0,
          .latent_t = 0,
          .mask_b = 0,
          .mask_t = 0,
          .scale = 1,
          .softcap = 0,
          .parts = 1};
}

cuda::LatentQueryLayout latent_layout(const Tensor& q_BNW, const Tensor& latent_BPW, int64_t S, int64_t R) {
  auto layout = latent_layout(q_BNW, S, R);
  layout.B = latent_BPW.size(0), layout.W = static_cast<int>(latent_BPW.size(2));
  // What a row of one is apart from the next does not matter to torch, to the copy engine it does.
  layout.latent_b = layout.B == 1 ? latent_BPW.size(1) * latent_BPW.stride(1) : latent_BPW.stride(0);
  layout.latent_t = latent_BPW.stride(1);
  return layout;
}

// A token's bytes in x [B, P, n], whose numbers lie side by side.
cuda::TokenBytes bytes_of(const Tensor& x) {
  const int64_t size = x.element_size(), b = x.size(0) == 1 ? 0 : x.stride(0) * size, t = x.stride(1) * size;
  cuda::TokenBytes part{static_cast<const char*>(x.const_data_ptr()), b, t, static_cast<int>(x.size(2) * size),
                        16};
  const auto all = reinterpret_cast<uint64_t>(part.at) | static_cast<uint64_t>(b | t | part.bytes);
  while (part.step > 1 && all % static_cast<uint64_t>(part.step) != 0) part.step /= 2;
  return part;
}

// No code where the types are others.
cuda::CodedTokens coded_tokens(const CodedLatent& c) {
  const auto code = c.codes_BPR.scalar_type(), scale = c.scales_BPg.scalar_type();
  const bool fp8 = code == torch::kFloat8_e4m3fn && scale == torch::kFloat32;
  const bool int8 = code == torch::kInt8 && scale == torch::kBFloat16;
  const bool side_by_side = c.codes_BPR.stride(2) == 1 && c.rest_BPr.stride(2) == 1 &&
                            (c.scales_BPg.stride(2) == 1 || c.scales_BPg.size(2) == 1);
  if ((!fp8 && !int8) || c.rest_BPr.scalar_type() != torch::kBFloat16 || !side_by_side ||
      c.codes_BPR.size(1) == 0)
    return {};
  return {.code = fp8 ? cuda::LatentCode::fp8 : cuda::LatentCode::int8,
          .codes = bytes_of(c.codes_BPR),
          .scales = bytes_of(c.scales_BPg),
          .rest = bytes_of(c.rest_BPr),
          .group = static_cast<int>(c.codes_BPR.size(2) / c.scales_BPg.size(2)),
          .gaps = c.gaps_B.defined() ? c.gaps_B.const_data_ptr<int>() : nullptr,
          .rows = c.codes_BPR.size(1)};
}

Tensor aligned_queries(const Tensor& q) {
  const auto queries = q.to(torch::kBFloat16).contiguous();
  return starts_at(queries) ? queries : queries.clone();
}

}  // namespace

bool fits_latent_query(const Tensor& q_BNW, const Tensor& latent_BPW, int64_t R) {
  const bool gradients = torch::GradMode::is_enabled() && (q_BNW.requires_grad() || latent_BPW.requires_grad());
  return q_BNW.is_cuda() && has_kernels(latent_BPW) && latent_BPW.scalar_type() == torch::kBFloat16 &&
         !gradients && latent_BPW.stride(2) == 1 && latent_BPW.size(1) > 0 && starts_at(latent_BPW) &&
         cuda::fits_latent_query(latent_layout(q_BNW, latent_BPW, latent_BPW.size(1), R), {},
                                 cuda_device(q_BNW));
}

bool fits_latent_query(const Tensor& q_BNW, const CodedLatent& latent) {
  const auto& codes = latent.codes_BPR;
  if (!q_BNW.is_cuda() || !codes.is_cuda() || !has_kernels(latent.rest_BPr) ||
      (torch::GradMode::is_enabled() && q_BNW.requires_grad()))
    return false;
  const auto coded = coded_tokens(latent);
  return coded.code != cuda::LatentCode::none &&
         cuda::fits_latent_query(latent_layout(q_BNW, codes.size(1), codes.size(2)), coded, cuda_device(q_BNW));
}

namespace {

// Where tokens lie, and which.
void place_latent(const LatentQuery& query, cuda::LatentQueryLayout& layout, cuda::LatentPointers& in) {
  const auto& latent = query.latent_BPW;
  if (query.coded.codes_BPR.defined()) {
    const auto& c = query.coded;
    const auto& gaps = c.gaps_B;
    TORCH_CHECK(fits_latent_query(query.q_BNW, c) && c.codes_BPR.size(2) == query.R &&
                c.codes_BPR.size(0) == layout.B && !query.pages_Bp.defined() &&
                c.rest_BPr.sizes().slice(0, 2) == c.codes_BPR.sizes().slice(0, 2) &&
                c.scales_BPg.sizes().slice(0, 2) == c.codes_BPR.sizes().slice(0, 2) &&
                (gaps.defined() ? gaps.scalar_type() == torch::kInt32 && gaps.is_cuda() &&
                                      gaps.is_contiguous() && gaps.size(0) == layout.B
                                : c.codes_BPR.size(1) >= query.S));
    in.coded = coded_tokens(c);
    return;
  }
  TORCH_CHECK(fits_latent_query(query.q_BNW, latent, query.R) && query.q_BNW.size(2) == latent.size(2));
  in.latent = latent.const_data_ptr();
  const auto dense = latent_layout(query.q_BNW, latent, query.S, query.R);
  layout.latent_b = dense.latent_b, layout.latent_t = dense.latent_t;
  if (query.pages_Bp.defined()) {
    const auto& pages = query.pages_Bp;
    constexpr int64_t page = cuda::kLatentTile;
    TORCH_CHECK(pages.scalar_type() == torch::kInt32 && pages.is_cuda() && pages.is_contiguous() &&
                pages.size(0) == layout.B && pages.size(1) == (query.S + page - 1) / page &&
                latent.size(1) == page);
    in.pages = pages.const_data_ptr<int>(), in.n_pages = latent.size(0);
  } else {
    TORCH_CHECK(latent.size(0) == layout.B && latent.size(1) >= query.S);
  }
}

int64_t token_bytes(const cuda::LatentQueryLayout& layout, const cuda::CodedTokens& coded) {
  const int64_t bytes = coded.codes.bytes + coded.scales.bytes + coded.rest.bytes;
  return coded.code == cuda::LatentCode::none ? 2 * layout.W : bytes;
}

}  // namespace

Tensor attend_latent_query(const LatentQuery& query) {
  TORCH_CHECK(query.S > 0 && query.q_BNW.is_cuda());
  const c10::cuda::CUDAGuard guard(query.q_BNW.device());
  const auto q = aligned_queries(query.q_BNW);
  auto layout = latent_layout(q, query.S, query.R);
  layout.scale = static_cast<float>(query.scale), layout.softcap = static_cast<float>(query.softcap);
  cuda::LatentPointers in{q.const_data_ptr(), nullptr, nullptr, nullptr, 0};
  place_latent(query, layout, in);
  if (query.mask_B11S.defined()) {
    const auto mask = query.mask_B11S.expand({layout.B, 1, 1, query.S});
    TORCH_CHECK(mask.scalar_type() == torch::kBool && mask.is_cuda());
    in.mask = mask.const_data_ptr<bool>(), layout.mask_b = mask.stride(0), layout.mask_t = mask.stride(3);
  }
  const auto device = cuda_device(q);
  layout.parts = cuda::latent_query_parts(layout.B, layout.N, query.S, token_bytes(layout, in.coded), device);
  const auto workspace =
      torch::empty({cuda::latent_query_workspace(layout)}, q.options().dtype(torch::kFloat32));
  auto out = torch::empty({layout.B, layout.N, query.R}, q.options());
  C10_CUDA_CHECK(
      cuda::latent_query(layout, in, out.data_ptr(), workspace.data_ptr<float>(), device, stream_of(q)));
  return out;
}

#else

bool fits_latent_query(const torch::Tensor&, const torch::Tensor&, int64_t) { return false; }
bool fits_latent_query(const torch::Tensor&, const CodedLatent&) { return false; }

torch::Tensor attend_latent_query(const LatentQuery&) { TORCH_CHECK(false, "built without CUDA kernels"); }

#endif

}  // namespace attnlab
