#pragma once

#include <cstdint>

/// The choices on which implementations of the DeepSeek family have gone wrong, one name each. An
/// architecture fixes them (the defaults are DeepSeek-V3's); the engine reads them where it computes; the
/// golden tests turn each one and demand that verification goes red. So every value here is either an
/// architecture's or a known bug.
namespace tidegate::worker {

enum class RouterScore : std::uint8_t { kSigmoid, kSoftmax };
enum class GroupScore : std::uint8_t { kTopTwoSum, kMax };
/// What experts of a dropped group compete with. Zero is wrong as soon as a biased score is negative.
enum class GroupMask : std::uint8_t { kMinusInfinity, kZero };
/// Where the correction bias acts: it chooses experts, it never weighs them.
enum class BiasUse : std::uint8_t { kChoice, kChoiceAndWeight, kNowhere };
/// What a softmax score is a share of. V2 normalises over all experts before it drops groups.
enum class SoftmaxOver : std::uint8_t { kAllExperts, kKeptGroups };

struct RouterFormulas {
  RouterScore score = RouterScore::kSigmoid;
  GroupScore group_score = GroupScore::kTopTwoSum;
  GroupMask group_mask = GroupMask::kMinusInfinity;
  BiasUse bias = BiasUse::kChoice;
  bool bias_in_bf16 = false;    ///< true: rounded, which changes the choice when biases share an offset
  bool logits_in_bf16 = false;  ///< true: rounded before the score
  bool shared_expert = true;    ///< added unweighted to the routed sum
  SoftmaxOver softmax_over = SoftmaxOver::kAllExperts;
};

enum class YarnRamp : std::uint8_t { kLowKeepsHighScales, kReversed, kOff };
enum class YarnBounds : std::uint8_t { kFloorAndCeil, kUpperFloored, kLowerUnrounded };
enum class RopeLayout : std::uint8_t { kInterleaved, kHalfSplit };
/// Llama 3.1 slows long waves by the factor, keeps short ones, and blends between.
enum class Llama3Ramp : std::uint8_t { kByWavelength, kOff, kAllDivided };

struct RopeFormulas {
  YarnRamp ramp = YarnRamp::kLowKeepsHighScales;
  YarnBounds bounds = YarnBounds::kFloorAndCeil;
  RopeLayout layout = RopeLayout::kInterleaved;
  bool mscale_on_cos_sin = false;  ///< true: m(mscale) undivided by m(mscale_all_dim)
  Llama3Ramp llama3 = Llama3Ramp::kByWavelength;
};

/// Which query heads share a key head: neighbours (0, 1, 2 | 3, 4, 5), or wrongly every n-th (0, 2, 4 | 1, 3, 5).
enum class KvHeadSharing : std::uint8_t { kNeighbours, kTiled };

struct AttentionFormulas {
  int mscale_power = 2;  ///< softmax scale = d^-0.5 * m^power
  bool norm_q_a = true;
  bool norm_kv_a = true;  ///< over the kv_lora_rank part only
  bool norm_k_pe = false;
  bool rope_k_pe = true;
  bool kv_b_value_first = false;  ///< rows of one head in kv_b: k_nope then v
  bool query_rope_first = false;  ///< one head of the query: nope then rope
  int causal_lookahead = 0;       ///< keys after the query that it may see
  KvHeadSharing kv_sharing = KvHeadSharing::kNeighbours;
  bool qkv_bias = true;  ///< false: biases of q, k and v are ignored where the model has them
};

enum class GateFunction : std::uint8_t { kSilu, kGelu };

struct FeedForwardFormulas {
  GateFunction gate = GateFunction::kSilu;  ///< down(gate_function(gate x) * up x)
};

struct MtpFormulas {
  bool hidden_first = false;      ///< eh_proj takes [enorm(embedding) ; hnorm(hidden)]
  bool embed_next_token = true;   ///< row i embeds token i + 1
  bool hidden_after_norm = true;  ///< hidden is the output of model.norm
};

enum class Fp8Scale : std::uint8_t { kMultiply, kDivide, kIgnore };

struct Fp8Formulas {
  Fp8Scale scale = Fp8Scale::kMultiply;  ///< despite the name weight_scale_inv
  bool rows_over_blocks = false;         ///< true: block height guessed as rows / blocks instead of 128
  bool first_column_block_only = false;  ///< true: every column uses the scale of block 0
  int exponent_bias = 7;
};

struct Formulas {
  RouterFormulas router;
  RopeFormulas rope;
  AttentionFormulas attention;
  FeedForwardFormulas feed_forward;
  MtpFormulas mtp;
  Fp8Formulas fp8;
};

}  // namespace tidegate::worker
