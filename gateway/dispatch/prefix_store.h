#pragma once

#include <cstdint>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/core/metrics.h"
#include "gateway/core/prefix_index.h"

namespace tidegate::gateway {

/// The prefix index of a whole gateway: the next turn of a conversation may come over another connection, and so on
/// another lane. Locked for one look-up or one change; nothing waits inside. Thread-safe.
class PrefixStore {
 public:
  /// `registry` outlives the store.
  PrefixStore(std::size_t entries_max, MetricRegistry& registry)
      : index_(entries_max),
        entries_(registry.gauge("tidegate_gateway_prefix_entries",
                                "Pairs of prompt prefix and worker in the index that requests are routed by.")) {}

  PrefixIndex::Holder join(const std::string& worker, const std::string& model, std::int64_t kv_tokens) {
    const std::lock_guard lock(mutex_);
    return index_.join(worker, model, kv_tokens);
  }
  void leave(PrefixIndex::Holder holder) {
    const std::lock_guard lock(mutex_);
    index_.leave(holder);
    publish();
  }

  struct Held {
    PrefixIndex::Holder holder = 0;
    std::size_t blocks = 0;
    std::int64_t tokens = 0;
  };
  struct View {
    std::int64_t prompt_tokens = 0;  ///< estimate
    std::vector<Held> held;          ///< in no order
  };
  View look(const PromptPrefix& prompt, std::string_view model) {
    const std::lock_guard lock(mutex_);
    View view;
    view.prompt_tokens = index_.tokens_in(model, prompt.bytes) + prompt.ids;
    index_.match(prompt.chain, matches_);
    view.held.reserve(matches_.size());
    for (const PrefixIndex::Match& match : matches_) {
      view.held.push_back({match.holder, match.blocks, index_.tokens_of(match.holder, match.blocks)});
    }
    return view;
  }

  void insert(PrefixIndex::Holder holder, std::span<const std::uint64_t> chain) {
    const std::lock_guard lock(mutex_);
    index_.insert(holder, chain);
    publish();
  }
  std::size_t learn(PrefixIndex::Holder holder, const PromptPrefix& prompt, std::size_t blocks_believed,
                    std::int64_t prompt_tokens, std::int64_t cached_tokens) {
    const std::lock_guard lock(mutex_);
    const std::size_t dropped = index_.learn(holder, prompt, blocks_believed, prompt_tokens, cached_tokens);
    publish();
    return dropped;
  }

 private:
  void publish() { entries_.set(static_cast<double>(index_.entries())); }

  std::mutex mutex_;
  PrefixIndex index_;
  std::vector<PrefixIndex::Match> matches_;  ///< scratch
  Gauge& entries_;
};

}  // namespace tidegate::gateway
