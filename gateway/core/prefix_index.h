#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "gateway/core/plan.h"

namespace tidegate::gateway {

/// Text between two marks of a prompt, in bytes: some 256 tokens. Smaller blocks find little more and cost more
/// entries; what is shorter than one costs less to read again than to go out of its way for.
inline constexpr std::size_t kPrefixBlockBytes = 1'024;

/// A prompt as the index knows it: no text, only marks.
struct PromptPrefix {
  std::vector<std::uint64_t> chain;  ///< one for each whole block; mark i stands for all text up to the block's end
  std::int64_t bytes = 0;            ///< of all text, with the part of a block at the end
  std::int64_t ids = 0;              ///< tokens that came as such, beside the text
};

/// Marks text as it comes, in pieces of any size. The seed separates what must never meet: tenants and models.
class PrefixHasher {
 public:
  explicit PrefixHasher(std::uint64_t seed) : mark_(seed) {}
  void add(std::string_view text);
  /// Once, at the end.
  PromptPrefix take() { return std::move(prefix_); }

 private:
  std::uint64_t mark_;
  std::array<char, kPrefixBlockBytes> block_{};
  std::size_t filled_ = 0;
  PromptPrefix prefix_;
};

/// Of salt and model. Only who knows the salt can tell which text a mark stands for.
std::uint64_t prefix_seed(std::string_view salt, std::string_view model);
/// Over the tools, then roles, contents and calls in their order, so that a conversation's next turn begins with the marks
/// of this one.
PromptPrefix prompt_prefix(const Plan& plan, std::string_view salt);
/// Of texts whose vectors are wanted: no marks, for they neither use nor feed a worker's cache, only how much there is.
PromptPrefix embed_prefix(const Plan& plan);

/// How many bytes of prompt text a model makes one token of, learned from what workers counted.
class TextDensity {
 public:
  double bytes_per_token() const { return bytes_ / tokens_; }
  void observe(std::int64_t bytes, std::int64_t tokens);

 private:
  // What is believed before anything was counted; outweighed after a few prompts.
  double tokens_ = 2'048;
  double bytes_ = 4 * 2'048;
};

/// Which workers probably hold which prefix in their caches. A guess by one who sees what it sends and what comes back:
/// everything sent to a worker is believed to be there, until as much else was sent that the worker must have dropped
/// it (least recently used first), the worker reports fewer cached tokens than believed, or its session ends.
///
/// Residency is prefix-closed (a cache drops the end of a prompt before its beginning), so a look-up jumps over marks
/// with equally many holders. A wrong guess costs time, never correctness. Bounded in entries; one thread at a time.
class PrefixIndex {
 public:
  using Holder = std::uint32_t;
  /// `entries_max` > 0: pairs of (mark, worker), about 90 bytes each.
  explicit PrefixIndex(std::size_t entries_max) : entries_max_(entries_max) {}
  PrefixIndex(const PrefixIndex&) = delete;
  PrefixIndex& operator=(const PrefixIndex&) = delete;

  /// A session to this worker opened; its cache holds `kv_tokens` (0: not known, then only the bound counts). The same
  /// number while any session to it is open.
  Holder join(const std::string& worker, const std::string& model, std::int64_t kv_tokens);
  /// A session ended: what the worker's cache holds is not known any more. Every join() has one leave().
  void leave(Holder holder);

  struct Match {
    Holder holder = 0;
    std::size_t blocks = 0;  ///< > 0
  };
  /// Everyone who holds a beginning of the chain, in no order. `out` is overwritten.
  void match(std::span<const std::uint64_t> chain, std::vector<Match>& out);
  /// What `blocks` of a holder are worth: fewer tokens where its caches have disappointed before.
  std::int64_t tokens_of(Holder holder, std::size_t blocks) const;
  /// Of that much text, as this model's workers have counted so far. > 0.
  std::int64_t tokens_in(std::string_view model, std::int64_t bytes) const;

  /// The prompt was sent to the holder, or has been read there.
  void insert(Holder holder, std::span<const std::uint64_t> chain);
  /// The worker has counted: `cached_tokens` of `prompt_tokens` were in its cache, where match() had said
  /// `blocks_believed`. Forgets what was not there until insert() says again that it is; returns how many entries.
  std::size_t learn(Holder holder, const PromptPrefix& prompt, std::size_t blocks_believed, std::int64_t prompt_tokens,
                    std::int64_t cached_tokens);

  std::size_t entries() const { return entries_; }
  std::size_t entries_of(Holder holder) const { return seats_[holder].entries; }
  /// Between 0 (its cache never had what was believed) and 1.
  double trust_in(Holder holder) const { return seats_[holder].trust; }

 private:
  static constexpr std::uint32_t kNone = 0xffffffff;
  /// One worker that holds one mark: in the list of the mark's holders, and in its holder's order of use.
  struct Node {
    std::uint64_t mark = 0;
    std::uint64_t used = 0;
    Holder holder = 0;
    std::uint32_t next = kNone;
    std::uint32_t newer = kNone;
    std::uint32_t older = kNone;
  };
  struct Place {
    std::uint32_t first = kNone;
    std::uint32_t holders = 0;
  };
  struct Seat {
    std::string worker;
    TextDensity* density = nullptr;
    std::int64_t kv_tokens = 0;
    double trust = 1;
    std::uint32_t sessions = 0;
    std::uint32_t newest = kNone;
    std::uint32_t oldest = kNone;
    std::size_t entries = 0;
    std::uint64_t seen = 0;  ///< scratch of match()
  };

  const Place* find(std::uint64_t mark) const;
  std::uint32_t find_node(const Place& place, Holder holder) const;
  std::size_t capacity_of(const Seat& seat) const;
  std::size_t keep_holders(const Place& place, std::size_t depth, std::vector<Match>& out, std::size_t live);
  void add_node(Holder holder, std::uint64_t mark);
  void touch(std::uint32_t index);
  void link_newest(std::uint32_t index);
  void unlink(std::uint32_t index);
  void drop(std::uint32_t index);
  void drop_oldest_of_all();
  void drop_all(Seat& seat);

  const std::size_t entries_max_;
  std::unordered_map<std::uint64_t, Place> places_;
  std::vector<Node> nodes_;
  std::uint32_t free_ = kNone;  ///< through Node::next
  std::vector<Seat> seats_;     ///< by Holder; without sessions: free
  std::map<std::string, Holder, std::less<>> holder_of_;
  std::map<std::string, TextDensity, std::less<>> densities_;  ///< by model; models come from routes
  std::uint64_t uses_ = 0;
  std::uint64_t looks_ = 0;
  std::size_t entries_ = 0;
};

}  // namespace tidegate::gateway
