#include "kernels/causal_attention.h"

#include <ATen/Parallel.h>
#include <ATen/autocast_mode.h>

#include "kernels/cpu_vectors.h"
#include "kernels/parallel.h"
#include "kernels/side_by_side.h"

namespace attnlab {
namespace {

using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

vectors::InRows rows_of(const Tensor& x_BNTH, int64_t b, int64_t n) {
  return {x_BNTH.const_data_ptr<float>() + b * x_BNTH.stride(0) + n * x_BNTH.stride(1), x_BNTH.stride(2)};
}
vectors::OutRows place_of(const Tensor& x_BNTH, int64_t b, int64_t n) {
  return {x_BNTH.data_ptr<float>() + b * x_BNTH.stride(0) + n * x_BNTH.stride(1), x_BNTH.stride(2)};
}

struct AttentionInputs {
  Tensor q, k, v;
  float scale;

  int64_t B() const { return q.size(0); }
  int64_t N() const { return q.size(1); }
  int64_t G() const { return k.size(1); }
  int64_t T() const { return q.size(2); }
  int64_t H() const { return q.size(3); }
  vectors::Head head(int64_t b, int64_t n) const {
    const int64_t g = n / (N() / G());
    return {rows_of(q, b, n), rows_of(k, b, g), rows_of(v, b, g), T(), H(), scale};
  }
};

// [B, heads, T, H], a token's heads side by side.
Tensor by_token(const Tensor& like_BNTH) {
  return torch::empty_like(like_BNTH.transpose(1, 2), torch::MemoryFormat::Contiguous).transpose(1, 2);
}

// Memory of a thread, in numbers, behind each other.
class ThreadRoom {
 public:
  explicit ThreadRoom(int64_t numbers)
      : memory_(torch::empty({numbers}, torch::kFloat32)), next_(memory_.data_ptr<float>()) {}
  float* take(int64_t numbers) {
    float* const taken = next_;
    next_ += numbers;
    return taken;
  }

 private:
  Tensor memory_;
  float* next_;
};

struct AttentionOutputs {
  Tensor out_BNTH, lse_BNT;
};

AttentionOutputs attend(const AttentionInputs& in) {
  const int64_t T = in.T(), H = in.H(), heads = in.N() / in.G();
  AttentionOutputs out{by_token(in.q), torch::empty({in.B(), in.N(), T}, in.q.options())};
  in_parallel(in.B() * in.N(), 1, [&](int64_t begin, int64_t end) {
    ThreadRoom room(vectors::turned_size(T, H) + vectors::forward_room(T));
    float *turned_k = room.take(vectors::turned_size(T, H)), *scores = room.take(vectors::forward_room(T));
    for (int64_t i = begin; i < end; ++i) {
      const int64_t b = i / in.N(), n = i % in.N();
      const auto head = in.head(b, n);
      if (i == begin || n % heads == 0) vectors::loops()->turn_round(head.k, T, H, turned_k);
      vectors::loops()->attend(head, turned_k, scores, place_of(out.out_BNTH, b, n),
                               out.lse_BNT.data_ptr<float>() + i * T);
    }
  });
  return out;
}

struct AttentionGradients {
  Tensor dq, dk, dv;
};

// Of one query head: its own gradient, and what it adds to those of its keys and values.
class HeadBackward {
 public:
  HeadBackward(const AttentionInputs& in, const AttentionOutputs& out, const Tensor& dout, const Tensor& dq)
      : in_(in), out_(out), dout_(dout), dq_(dq), room_(2 * turned() + vectors::backward_room(in.T())) {
    turned_k_ = room_.take(turned());
    turned_v_ = room_.take(turned());
    scores_ = room_.take(vectors::backward_room(in.T()));
  }
  void run(int64_t b, int64_t n, float* dk, float* dv) {
    const int64_t T = in_.T(), H = in_.H(), N = in_.N(), place = b * in_.G() + n / (N / in_.G());
    const auto head = in_.head(b, n);
    if (turned_ != place) {
      vectors::loops()->turn_round(head.k, T, H, turned_k_);
      vectors::loops()->turn_round(head.v, T, H, turned_v_);
      turned_ = place;
    }
    vectors::loops()->attend_backward(head, turned_k_, turned_v_, scores_,
                                      {.out = rows_of(out_.out_BNTH, b, n),
                                       .dout = rows_of(dout_, b, n),
                                       .lse_T = out_.lse_BNT.const_data_ptr<float>() + (b * N + n) * T,
                                       .dq = place_of(dq_, b, n),
                                       .dk = dk,
                                       .dv = dv});
  }

 private:
  int64_t turned() const { return vectors::turned_size(in_.T(), in_.H()); }

  const AttentionInputs& in_;
  const AttentionOutputs& out_;
  const Tensor &dout_, &dq_;
  ThreadRoom room_;
  float *turned_k_, *turned_v_, *scores_;
  int64_t turned_ = -1;  // whose keys and values are turned round
};

// Adds a head's gradient of keys or values to what heads before it gave.
void add_rows(const float* from, int64_t T, int64_t H, bool is_first, vectors::OutRows to) {
  for (int64_t t = 0; t < T; ++t)
    for (int64_t h = 0; h < H; ++h) {
      float& sum = to.at[t * to.step + h];
      sum = is_first ? from[t * H + h] : sum + from[t * H + h];
    }
}

// A thread takes whole KV heads, or single heads where there are many threads: their gradients of keys and
// values wait to be added, in the same order.
AttentionGradients attend_backward(const AttentionInputs& in, const AttentionOutputs& out, const Tensor& dout) {
  const int64_t T = in.T(), H = in.H(), B = in.B(), N = in.N(), G = in.G(), heads = N / G;
  const int64_t sums = vectors::padded_length(T) * H;
  const auto by_head = [](const Tensor& x) { return torch::empty(x.sizes(), x.options()); };
  AttentionGradients to{by_head(in.q), by_head(in.k), by_token(in.v)};
  const auto add = [&](int64_t b, int64_t n, const float* dk, const float* dv) {
    add_rows(dk, T, H, n % heads == 0, place_of(to.dk, b, n / heads));
    add_rows(dv, T, H, n % heads == 0, place_of(to.dv, b, n / heads));
  };
  if (heads == 1 || B * G >= 2 * at::get_num_threads()) {
    in_parallel(B * G, 1, [&](int64_t begin, int64_t end) {
      HeadBackward backward(in, out, dout, to.dq);
      ThreadRoom room(2 * sums);
      float *dk = room.take(sums), *dv = room.take(sums);
      for (int64_t i = begin * heads; i < end * heads; ++i) {
        backward.run(i / N, i % N, dk, dv);
        add(i / N, i % N, dk, dv);
      }
    });
    return to;
  }
  const auto waiting = torch::empty({B * N, 2, sums}, in.q.options());
  auto* const place = waiting.data_ptr<float>();
  in_parallel(B * N, 1, [&](int64_t begin, int64_t end) {
    HeadBackward backward(in, out, dout, to.dq);
    for (int64_t i = begin; i < end; ++i)
      backward.run(i / N, i % N, place + 2 * i * sums, place + (2 * i + 1) * sums);
  });
  in_parallel(B * G, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin * heads; i < end * heads; ++i)
      add(i / N, i % N, place + 2 * i * sums, place + (2 * i + 1) * sums);
  });
  return to;
}

class CausalAttention : public torch::autograd::Function<CausalAttention> {
 public:
  static Tensor forward(AutogradContext* context, const Tensor& q, const Tensor& k, const Tensor& v,
                        double scale) {
    const AttentionInputs in{numbers_side_by_side(q), numbers_side_by_side(k), numbers_side_by_side(v),
                             static_cast<float>(scale)};
    const auto out = attend(in);
    context->save_for_backward({in.q, in.k, in.v, out.out_BNTH, out.lse_BNT});
    context->saved_data["scale"] = scale;
    return out.out_BNTH;
  }

  static variable_list backward(AutogradContext* context, const variable_list& upstream) {
    const auto saved = context->get_saved_variables();
    const auto scale = static_cast<float>(context->saved_data["scale"].toDouble());
    const auto [dq, dk, dv] = attend_backward({saved[0], saved[1], saved[2], scale}, {saved[3], saved[4]},
                                              numbers_side_by_side(upstream[0]));
    return {dq, dk, dv, {}};
  }
};

}  // namespace

bool fits_causal_attention(const Tensor& q_BNTH, const Tensor& k_BGSH, const Tensor& v_BGSH) {
  constexpr int64_t pack = 32, widest = 256, longest = 4096;
  const int64_t H = q_BNTH.size(3), T = q_BNTH.size(2);
  const auto is_plain = [](const Tensor& x) { return x.is_cpu() && x.scalar_type() == torch::kFloat32; };
  return is_plain(q_BNTH) && is_plain(k_BGSH) && is_plain(v_BGSH) && H % pack == 0 && H <= widest && T > 1 &&
         T <= longest && k_BGSH.size(2) == T && v_BGSH.sizes() == k_BGSH.sizes() && k_BGSH.size(3) == H &&
         q_BNTH.size(1) % k_BGSH.size(1) == 0 && vectors::loops() &&
         !at::autocast::is_autocast_enabled(at::kCPU);
}

Tensor causal_attention(const Tensor& q_BNTH, const Tensor& k_BGSH, const Tensor& v_BGSH, double scale) {
  TORCH_CHECK(fits_causal_attention(q_BNTH, k_BGSH, v_BGSH));
  if (!torch::GradMode::is_enabled())
    return attend({numbers_side_by_side(q_BNTH), numbers_side_by_side(k_BGSH), numbers_side_by_side(v_BGSH),
                   static_cast<float>(scale)})
        .out_BNTH;
  return CausalAttention::apply(q_BNTH, k_BGSH, v_BGSH, scale);
}

}  // namespace attnlab
