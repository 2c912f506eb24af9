// The draft layer of the CPU backend (DeepSeek-V3's multi-token prediction): one more decoder block that sees, at position i,
// the main model's state there and the token at i + 1, and guesses the token at i + 2.
//
// Its cache is one more layer of the paged cache; the row of position i is written once the token at i + 1 is certain. Rows
// that are not known yet are zero, so that no row of a block ever shows what an earlier owner of the block said.
#include <algorithm>
#include <cstring>

#include "base/core/check.h"
#include "worker/backend/cpu/cpu_backend.h"

namespace tidegate::worker {

void CpuBackend::state_of_row(const float* x, std::span<float> out) const {
  if (spec_.formulas.mtp.hidden_after_norm) {
    kernels_for(isa_).rms_norm(x, weights_.norm.data(), out.data(), spec_.hidden, static_cast<float>(spec_.rms_eps));
  } else {
    std::copy_n(x, out.size(), out.begin());
  }
}

std::vector<float> CpuBackend::draft_inputs(std::span<const DraftRow> rows) {
  const MtpWeights& mtp = weights_.mtp.front();
  const KernelTable& kernels = kernels_for(isa_);
  const auto eps = static_cast<float>(spec_.rms_eps);
  const bool hidden_first = spec_.formulas.mtp.hidden_first;
  const int hidden = spec_.hidden;
  const auto count = static_cast<std::int64_t>(rows.size());
  const EmbeddingTable& embedding = mtp.embedding.empty() ? weights_.embedding : mtp.embedding;

  std::vector<float> joined(static_cast<std::size_t>(count * 2 * hidden));
  std::vector<float> work(static_cast<std::size_t>(hidden));
  for (std::int64_t r = 0; r < count; ++r) {
    float* first = joined.data() + r * 2 * hidden;
    float* second = first + hidden;
    const DraftRow& row = rows[static_cast<std::size_t>(r)];
    embedding.read(row.next, work);
    kernels.rms_norm(work.data(), mtp.embedding_norm.data(), hidden_first ? second : first, hidden, eps);
    kernels.rms_norm(row.state, mtp.hidden_norm.data(), hidden_first ? first : second, hidden, eps);
  }
  std::vector<float> out(static_cast<std::size_t>(count * hidden));
  const auto inputs = const_rows(joined.data(), 2 * hidden, count);
  const auto outputs = mutable_rows(out.data(), hidden, count);
  const MatmulJob jobs[] = {{&mtp.projection, nullptr, inputs, outputs}};
  decoder_.matmul().run(jobs);
  return out;
}

void CpuBackend::draft_head(std::span<const float* const> rows, std::span<float* const> logits) {
  const MtpWeights& mtp = weights_.mtp.front();
  decoder_.head(rows, mtp.head_norm, mtp.head.empty() ? weights_.head : mtp.head, logits);
}

void CpuBackend::follow(std::span<const BatchSequence> batch, const float* x) {
  if (!has_mtp()) return;
  const auto hidden = static_cast<std::size_t>(spec_.hidden);
  const std::size_t row_bytes = static_cast<std::size_t>(spec_.cache_width()) * sizeof(float);
  std::vector<std::vector<float>> states(batch.size());     // of this step's tokens
  std::vector<std::vector<TokenId>> nexts(batch.size());    // of the rows that are certain now
  std::vector<DraftRow> rows;
  std::vector<BatchSequence> drafted;
  const float* from = x;
  for (std::size_t s = 0; s < batch.size(); ++s) {
    const BatchSequence& sequence = batch[s];
    const std::size_t count = sequence.tokens.size();
    const float* own = from;
    from += count * hidden;
    if (sequence.draft_state == nullptr) continue;
    states[s].resize(count * hidden);
    for (std::size_t i = 0; i < count; ++i) {
      state_of_row(own + i * hidden, std::span(states[s]).subspan(i * hidden, hidden));
    }
    const std::size_t kept = sequence.want_logits ? 1 + static_cast<std::size_t>(sequence.drafts) : 1;
    // The row before this step's tokens, if its state is remembered: its next token is the first of them.
    const DraftState& state = *sequence.draft_state;
    const std::int64_t before = std::int64_t{sequence.position} - 1 - state.position;
    const bool has_before = state.position >= 0 && before >= 0 &&
                            (static_cast<std::size_t>(before) + 1) * hidden <= state.hidden.size();
    if (has_before) {
      rows.push_back({state.hidden.data() + static_cast<std::size_t>(before) * hidden, sequence.tokens[0]});
      nexts[s].push_back(sequence.tokens[0]);
    }
    for (std::size_t i = 0; i + kept < count; ++i) {
      rows.push_back({states[s].data() + i * hidden, sequence.tokens[i + 1]});
      nexts[s].push_back(sequence.tokens[i + 1]);
    }
    for (std::size_t i = count - kept; i < count; ++i) {
      const std::int32_t position = sequence.position + static_cast<std::int32_t>(i);
      const std::int32_t block = sequence.blocks[static_cast<std::size_t>(position / kKvBlockTokens)];
      std::memset(cache_.row(spec_.layers, block, position % kKvBlockTokens), 0, row_bytes);
    }
    if (nexts[s].empty()) continue;
    drafted.push_back({.tokens = nexts[s],
                       .position = sequence.position - (has_before ? 1 : 0),
                       .blocks = sequence.blocks,
                       .want_logits = false});
  }
  if (!rows.empty()) {
    std::vector<float> residual = draft_inputs(rows);
    const StepRows step = flatten_step(drafted);
    decoder_.run_block(weights_.mtp.front().layer, step, cache_, spec_.layers, residual.data(), nullptr);
  }
  for (std::size_t s = 0; s < batch.size(); ++s) {
    const BatchSequence& sequence = batch[s];
    if (sequence.draft_state == nullptr) continue;
    const std::size_t kept = sequence.want_logits ? 1 + static_cast<std::size_t>(sequence.drafts) : 1;
    DraftState& state = *sequence.draft_state;
    state.position = sequence.position + static_cast<std::int32_t>(sequence.tokens.size() - kept);
    state.hidden.assign(states[s].end() - static_cast<std::ptrdiff_t>(kept * hidden), states[s].end());
  }
}

Status CpuBackend::draft(std::span<const DraftSequence> batch, std::span<float> logits) {
  TG_CHECK(has_mtp() && logits.size() >= batch.size() * static_cast<std::size_t>(spec_.vocab));
  if (batch.empty()) return {};
  const auto hidden = static_cast<std::size_t>(spec_.hidden);
  std::vector<DraftRow> rows;
  std::vector<BatchSequence> drafted;
  for (const DraftSequence& sequence : batch) {
    const DraftState& state = *sequence.state;
    TG_CHECK(state.position >= 0 && !sequence.tokens.empty() && sequence.tokens.size() * hidden <= state.hidden.size());
    for (std::size_t i = 0; i < sequence.tokens.size(); ++i) {
      rows.push_back({state.hidden.data() + i * hidden, sequence.tokens[i]});
    }
    drafted.push_back(
        {.tokens = sequence.tokens, .position = state.position, .blocks = sequence.blocks, .want_logits = false});
  }
  std::vector<float> residual = draft_inputs(rows);
  const StepRows step = flatten_step(drafted);
  decoder_.run_block(weights_.mtp.front().layer, step, cache_, spec_.layers, residual.data(), nullptr);

  std::vector<const float*> last;
  std::vector<float*> outputs;
  std::size_t end = 0;
  for (std::size_t s = 0; s < batch.size(); ++s) {
    end += batch[s].tokens.size();
    last.push_back(residual.data() + (end - 1) * hidden);
    outputs.push_back(logits.data() + s * static_cast<std::size_t>(spec_.vocab));
    batch[s].state->position = -1;
    batch[s].state->hidden.clear();
  }
  draft_head(last, outputs);
  return {};
}

Result<std::vector<float>> CpuBackend::draft_logits(std::span<const TokenId> tokens) {
  TG_CHECK(has_mtp() && tokens.size() >= 2);
  const auto blocks = static_cast<std::int32_t>((tokens.size() + kKvBlockTokens - 1) / kKvBlockTokens);
  TG_ASSIGN(KvCache cache, KvCache::create(cached_layers(), blocks, spec_.cache_width()));
  std::vector<std::int32_t> table(static_cast<std::size_t>(blocks));
  for (std::int32_t i = 0; i < blocks; ++i) table[static_cast<std::size_t>(i)] = i;

  const BatchSequence whole{.tokens = tokens, .position = 0, .blocks = table, .want_logits = false};
  const StepRows step = flatten_step({&whole, 1});
  const float* x = decoder_.run(step, cache, nullptr);

  const auto hidden = static_cast<std::size_t>(spec_.hidden);
  const std::size_t count = tokens.size() - 1;
  std::vector<float> states(count * hidden);
  std::vector<DraftRow> rows;
  for (std::size_t r = 0; r < count; ++r) {
    const auto state = std::span(states).subspan(r * hidden, hidden);
    state_of_row(x + r * hidden, state);
    rows.push_back({state.data(), tokens[r + (spec_.formulas.mtp.embed_next_token ? 1 : 0)]});
  }
  std::vector<float> residual = draft_inputs(rows);
  const BatchSequence drafted{.tokens = tokens.first(count), .position = 0, .blocks = table, .want_logits = false};
  const StepRows draft_step = flatten_step({&drafted, 1});
  decoder_.run_block(weights_.mtp.front().layer, draft_step, cache, spec_.layers, residual.data(), nullptr);

  std::vector<float> logits(count * static_cast<std::size_t>(spec_.vocab));
  const auto all = static_cast<std::int64_t>(count);
  draft_head(const_rows(residual.data(), spec_.hidden, all), mutable_rows(logits.data(), spec_.vocab, all));
  return logits;
}

}  // namespace tidegate::worker
