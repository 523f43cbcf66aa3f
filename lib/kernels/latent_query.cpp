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

cuda::LatentQueryLayout latent_layout(const Tensor& q_BNW, const Tensor& latent_BPW, int64_t S, int64_t R) {
  // What a row of one is apart from the next does not matter to torch, to the copy engine it does.
  const int64_t b = latent_BPW.size(0) == 1 ? latent_BPW.size(1) * latent_BPW.stride(1) : latent_BPW.stride(0);
  return {.B = q_BNW.size(0),
          .N = q_BNW.size(1),
          .S = S,
          .R = static_cast<int>(R),
          .W = static_cast<int>(latent_BPW.size(2)),
          .latent_b = b,
          .latent_t = latent_BPW.stride(1),
          .mask_b = 0,
          .mask_t = 0,
          .scale = 1,
          .softcap = 0,
          .parts = 1};
}

Tensor aligned_queries(const Tensor& q) {
  const auto queries = q.to(torch::kBFloat16).contiguous();
  return reinterpret_cast<uint64_t>(queries.const_data_ptr()) % 16 == 0 ? queries : queries.clone();
}

}  // namespace

bool fits_latent_query(const Tensor& q_BNW, const Tensor& latent_BPW, int64_t R) {
  const bool gradients = torch::GradMode::is_enabled() && (q_BNW.requires_grad() || latent_BPW.requires_grad());
  return q_BNW.is_cuda() && has_kernels(latent_BPW) && latent_BPW.scalar_type() == torch::kBFloat16 &&
         !gradients && latent_BPW.stride(2) == 1 && latent_BPW.size(1) > 0 &&
         reinterpret_cast<uint64_t>(latent_BPW.const_data_ptr()) % 16 == 0 &&
         cuda::fits_latent_query(latent_layout(q_BNW, latent_BPW, latent_BPW.size(1), R), cuda_device(q_BNW));
}

Tensor attend_latent_query(const LatentQuery& query) {
  const auto& latent = query.latent_BPW;
  TORCH_CHECK(fits_latent_query(query.q_BNW, latent, query.R) && query.q_BNW.size(2) == latent.size(2) &&
              query.S > 0);
  const c10::cuda::CUDAGuard guard(latent.device());
  const auto q = aligned_queries(query.q_BNW);
  auto layout = latent_layout(q, latent, query.S, query.R);
  layout.scale = static_cast<float>(query.scale), layout.softcap = static_cast<float>(query.softcap);
  cuda::LatentPointers in{q.const_data_ptr(), latent.const_data_ptr(), nullptr, nullptr, 0};
  if (query.mask_B11S.defined()) {
    const auto mask = query.mask_B11S.expand({layout.B, 1, 1, query.S});
    TORCH_CHECK(mask.scalar_type() == torch::kBool && mask.is_cuda());
    in.mask = mask.const_data_ptr<bool>(), layout.mask_b = mask.stride(0), layout.mask_t = mask.stride(3);
  }
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
  const auto device = cuda_device(latent);
  layout.parts = cuda::latent_query_parts(layout.B, layout.N, query.S, layout.W, device);
  const auto workspace =
      torch::empty({cuda::latent_query_workspace(layout)}, q.options().dtype(torch::kFloat32));
  auto out = torch::empty({layout.B, layout.N, query.R}, q.options());
  C10_CUDA_CHECK(
      cuda::latent_query(layout, in, out.data_ptr(), workspace.data_ptr<float>(), device, stream_of(latent)));
  return out;
}

#else

bool fits_latent_query(const torch::Tensor&, const torch::Tensor&, int64_t) { return false; }

torch::Tensor attend_latent_query(const LatentQuery&) { TORCH_CHECK(false, "built without CUDA kernels"); }

#endif

}  // namespace attnlab
