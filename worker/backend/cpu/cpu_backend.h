#pragma once

#include <memory>
#include <string>
#include <vector>

#include "worker/backend/backend.h"
#include "worker/backend/cpu/decoder.h"
#include "worker/backend/cpu/packed_load.h"
#include "worker/backend/load.h"
#include "worker/backend/taps.h"

namespace tidegate::worker {

/// The engine on CPU threads. fp32 arithmetic throughout; FP8 and bf16 weights are widened as they are read,
/// exactly; activations are never quantised unless Options::isa names kernels that do (isa.h). Batch-invariant (kernels.h says why).
class CpuBackend final : public Backend {
 public:
  struct Options {
    int threads = 2;
    CpuIsa isa = CpuIsa::kAuto;
    bool digest = true;
    bool mtp = false;  ///< load the draft layer, if the checkpoint has it
    LoadProgress* progress = nullptr;
    WeightsCacheOptions cache;
    LoadReport* report = nullptr;
  };

  /// As load_backend(), from parts: the spec may have been changed between reading and loading (verification
  /// does).
  static Result<std::unique_ptr<CpuBackend>> create(ModelSpec spec, const Checkpoint& checkpoint,
                                                    const Options& options);

  [[nodiscard]] const ModelFacts& facts() const override { return facts_; }
  Status alloc_kv(std::int32_t blocks) override;
  /// Also fails: invalid_argument/bad_token (a token outside the vocabulary), out_of_range/context_length.
  /// A block table that does not cover its tokens is a broken invariant of the caller: abort.
  Status forward(std::span<const BatchSequence> batch, std::span<float> logits) override;
  bool can_draft() const override { return has_mtp(); }
  Status draft(std::span<const DraftSequence> batch, std::span<float> logits) override;

  [[nodiscard]] const ModelSpec& spec() const { return spec_; }
  [[nodiscard]] bool has_mtp() const { return !weights_.mtp.empty(); }
  [[nodiscard]] CpuIsa isa() const { return isa_; }
  /// See AttentionBlock::scratch_bytes().
  [[nodiscard]] std::size_t attention_scratch_bytes() const { return decoder_.attention_scratch_bytes(); }
  /// nullptr (the default) costs nothing. The sink must outlive its last forward().
  void set_taps(TapSink* taps) { taps_ = taps; }

  /// Logits of the first draft layer for a whole sequence, [tokens - 1][vocab]: row i has seen tokens 0..i+1
  /// and guesses token i+2. Input of row i: eh_proj([enorm(embed(token i+1)) ; hnorm(h_i)]) at position i,
  /// with h_i the main model's output after model.norm; position 0 is not zeroed. Recomputes the sequence in
  /// a cache of its own: meant for verification. has_mtp() and at least two tokens required.
  Result<std::vector<float>> draft_logits(std::span<const TokenId> tokens);

 private:
  CpuBackend(ModelSpec spec, PackedLoad loaded, const Options& options);
  Status check(std::span<const BatchSequence> batch) const;
  StepRows flatten_step(std::span<const BatchSequence> batch) const;
  Status emit_logits(std::span<const BatchSequence> batch, const float* x, std::span<float> logits);
  Status emit_states(std::span<const BatchSequence> batch, const float* x) const;
  void tap_all_rows(const StepRows& step, const float* x);

  // cpu_draft.cc
  std::int32_t cached_layers() const { return spec_.layers + (has_mtp() ? 1 : 0); }
  /// Main model's state as the draft layer wants it.
  void state_of_row(const float* x, std::span<float> out) const;
  /// Keeps the draft layer's cache up to date behind a forward: residual stream `x`, one row a token of the batch.
  void follow(std::span<const BatchSequence> batch, const float* x);
  struct DraftRow {
    const float* state;  ///< of the token before `next`
    TokenId next;
  };
  /// Input of the draft layer, [row][hidden].
  std::vector<float> draft_inputs(std::span<const DraftRow> rows);
  void draft_head(std::span<const float* const> rows, std::span<float* const> logits);

  const ModelSpec spec_;
  const CpuIsa isa_;
  const ModelWeights weights_;
  ModelFacts facts_;
  const std::vector<double> frequencies_;
  const double rope_multiplier_;
  ComputePool pool_;
  Decoder decoder_;
  KvCache cache_;
  TapSink* taps_ = nullptr;
};

}  // namespace tidegate::worker
