#include "gateway/core/prefix_index.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

#include "base/core/check.h"

namespace tidegate::gateway {
namespace {

// Multiply and fold, as in wyhash: marks need speed and spread, their secrecy is the seed's.
constexpr std::uint64_t kMultiplier = 0xe7037ed1a0b428dbULL;
constexpr std::uint64_t kStep = 0xa0761d6478bd642fULL;
/// Marks that a look-up jumps over while nobody has dropped out.
constexpr std::size_t kJump = 32;
/// A cache counts in blocks of its own, up to this many tokens: what is missing less than that is not missing.
constexpr std::int64_t kCacheBlockTokensMax = 512;
constexpr double kTrustStep = 0.1;
/// Beyond this much evidence the old half is forgotten: what tenants send changes.
constexpr double kDensityTokensMax = 4e6;
constexpr double kBytesPerTokenLeast = 0.5;
constexpr double kBytesPerTokenMost = 64;

std::uint64_t fold(std::uint64_t a, std::uint64_t b) {
  const unsigned __int128 product = static_cast<unsigned __int128>(a) * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

std::uint64_t mark_after(std::uint64_t before, std::string_view text) {
  std::uint64_t state = before;
  std::size_t at = 0;
  for (; at + sizeof(std::uint64_t) <= text.size(); at += sizeof(std::uint64_t)) {
    std::uint64_t word = 0;
    std::memcpy(&word, text.data() + at, sizeof(word));
    state = fold(state ^ word, kMultiplier) + kStep;
  }
  std::uint64_t tail = 0;
  if (at < text.size()) std::memcpy(&tail, text.data() + at, text.size() - at);
  return fold(state ^ tail, kMultiplier) + fold(text.size() + 1, kStep);
}

}  // namespace

void PrefixHasher::add(std::string_view text) {
  prefix_.bytes += std::ssize(text);
  while (!text.empty()) {
    const std::size_t taken = std::min(text.size(), block_.size() - filled_);
    std::memcpy(block_.data() + filled_, text.data(), taken);
    filled_ += taken;
    text.remove_prefix(taken);
    if (filled_ < block_.size()) return;
    mark_ = mark_after(mark_, std::string_view(block_.data(), block_.size()));
    prefix_.chain.push_back(mark_);
    filled_ = 0;
  }
}

std::uint64_t prefix_seed(std::string_view salt, std::string_view model) {
  return mark_after(mark_after(kStep, salt), model);
}

PromptPrefix prompt_prefix(const Plan& plan, std::string_view salt) {
  PrefixHasher hasher(prefix_seed(salt, plan.model));
  // Templates write tools before the conversation, whoever speaks first, and none that may not be called.
  const bool has_tools = plan.tool_choice.mode != ToolMode::kNone;
  for (const PlanTool& tool : has_tools ? std::span<const PlanTool>(plan.tools) : std::span<const PlanTool>()) {
    hasher.add("\x04");
    hasher.add(tool.name);
    hasher.add("\x02");
    hasher.add(tool.description);
    hasher.add("\x02");
    hasher.add(tool.parameters);
  }
  for (const PlanMessage& message : plan.messages) {
    // Control characters are no part of a role's name; in a content they may only make two prompts look alike to us.
    hasher.add("\x01");
    hasher.add(role_name(message.role));
    hasher.add("\x02");
    hasher.add(message.reasoning);
    hasher.add(message.content);
    for (const ToolCall& call : message.tool_calls) {
      hasher.add("\x05");
      hasher.add(call.name);
      hasher.add("\x02");
      hasher.add(call.arguments);
    }
  }
  if (plan.raw) {
    hasher.add(plan.raw->text);
    if (plan.raw->suffix) {
      hasher.add("\x03");
      hasher.add(*plan.raw->suffix);
    }
  }
  return hasher.take();
}

PromptPrefix embed_prefix(const Plan& plan) {
  PromptPrefix prefix;
  for (const PlanEmbedInput& input : plan.embed) prefix.bytes += std::ssize(input.text);
  prefix.ids = prompt_ids(plan);
  return prefix;
}

void TextDensity::observe(std::int64_t bytes, std::int64_t tokens) {
  if (bytes <= 0 || tokens <= 0) return;
  const double ratio = static_cast<double>(bytes) / static_cast<double>(tokens);
  if (ratio < kBytesPerTokenLeast || ratio > kBytesPerTokenMost) return;  // the template, not the text
  bytes_ += static_cast<double>(bytes);
  tokens_ += static_cast<double>(tokens);
  if (tokens_ < kDensityTokensMax) return;
  bytes_ /= 2;
  tokens_ /= 2;
}

PrefixIndex::Holder PrefixIndex::join(const std::string& worker, const std::string& model, std::int64_t kv_tokens) {
  TextDensity& density = densities_[model];
  const auto found = holder_of_.find(worker);
  if (found != holder_of_.end()) {
    Seat& seat = seats_[found->second];
    ++seat.sessions;
    seat.kv_tokens = kv_tokens;
    seat.density = &density;
    return found->second;
  }
  std::size_t free = 0;
  while (free < seats_.size() && seats_[free].sessions > 0) ++free;
  if (free == seats_.size()) seats_.emplace_back();
  Seat& seat = seats_[free];
  seat = Seat();
  seat.worker = worker;
  seat.density = &density;
  seat.kv_tokens = kv_tokens;
  seat.sessions = 1;
  const auto holder = static_cast<Holder>(free);
  holder_of_.emplace(worker, holder);
  return holder;
}

void PrefixIndex::leave(Holder holder) {
  Seat& seat = seats_[holder];
  TG_CHECK(seat.sessions > 0);
  drop_all(seat);
  if (--seat.sessions == 0) holder_of_.erase(seat.worker);
}

void PrefixIndex::match(std::span<const std::uint64_t> chain, std::vector<Match>& out) {
  out.clear();
  const Place* place = chain.empty() ? nullptr : find(chain[0]);
  if (place == nullptr) return;
  for (std::uint32_t index = place->first; index != kNone; index = nodes_[index].next) {
    out.push_back({nodes_[index].holder, chain.size()});
  }
  // The first `live` of `out` hold every mark up to `depth`; the others have got their depth already.
  std::size_t live = out.size();
  std::size_t depth = 0;
  while (live > 0 && depth + 1 < chain.size()) {
    const std::size_t far = std::min(depth + kJump, chain.size() - 1);
    place = find(chain[far]);
    if (place != nullptr && place->holders == live) {
      depth = far;
      continue;
    }
    for (++depth; live > 0; ++depth) {
      place = find(chain[depth]);
      if (place == nullptr) {
        for (std::size_t i = 0; i < live; ++i) out[i].blocks = depth;
        live = 0;
      } else if (place->holders != live) {
        live = keep_holders(*place, depth, out, live);
      }
      if (depth == far) break;
    }
  }
}

/// Those of the first `live` that hold `place` stay in front; the others hold `depth` blocks. Returns how many stay.
std::size_t PrefixIndex::keep_holders(const Place& place, std::size_t depth, std::vector<Match>& out,
                                      std::size_t live) {
  ++looks_;
  for (std::uint32_t index = place.first; index != kNone; index = nodes_[index].next) {
    seats_[nodes_[index].holder].seen = looks_;
  }
  std::size_t kept = 0;
  for (std::size_t i = 0; i < live; ++i) {
    if (seats_[out[i].holder].seen == looks_) {
      std::swap(out[kept++], out[i]);
    } else {
      out[i].blocks = depth;
    }
  }
  return kept;
}

std::int64_t PrefixIndex::tokens_of(Holder holder, std::size_t blocks) const {
  const Seat& seat = seats_[holder];
  const double bytes = static_cast<double>(blocks * kPrefixBlockBytes);
  return static_cast<std::int64_t>(bytes / seat.density->bytes_per_token() * seat.trust);
}

std::int64_t PrefixIndex::tokens_in(std::string_view model, std::int64_t bytes) const {
  const auto found = densities_.find(model);
  const double density = found == densities_.end() ? TextDensity().bytes_per_token() : found->second.bytes_per_token();
  return static_cast<std::int64_t>(static_cast<double>(bytes) / density) + 1;
}

void PrefixIndex::insert(Holder holder, std::span<const std::uint64_t> chain) {
  Seat& seat = seats_[holder];
  if (seat.sessions == 0) return;
  const std::size_t capacity = capacity_of(seat);
  // The end first: what is used last is dropped last, and that must be the beginning.
  for (std::size_t i = std::min(chain.size(), capacity); i-- > 0;) {
    const Place* place = find(chain[i]);
    const std::uint32_t index = place == nullptr ? kNone : find_node(*place, holder);
    if (index == kNone) {
      add_node(holder, chain[i]);
    } else {
      touch(index);
    }
  }
  while (seat.entries > capacity) drop(seat.oldest);
  while (entries_ > entries_max_) drop_oldest_of_all();
}

std::size_t PrefixIndex::learn(Holder holder, const PromptPrefix& prompt, std::size_t blocks_believed,
                               std::int64_t prompt_tokens, std::int64_t cached_tokens) {
  Seat& seat = seats_[holder];
  if (seat.sessions == 0) return 0;
  // Ids would teach that a token is as long as its number.
  seat.density->observe(prompt.bytes, prompt_tokens - prompt.ids);
  if (blocks_believed == 0) return 0;
  const double block_tokens = static_cast<double>(kPrefixBlockBytes) / seat.density->bytes_per_token();
  // A cache always leaves the last token to be computed.
  const auto whole = static_cast<std::int64_t>(static_cast<double>(blocks_believed) * block_tokens);
  const std::int64_t believed = std::min(whole, std::max<std::int64_t>(prompt_tokens - 1, 0));
  const std::int64_t found = std::max<std::int64_t>(cached_tokens, 0);
  const std::int64_t missing = believed - found;
  if (missing < kCacheBlockTokensMax) {
    // So little missing is no evidence of a cache when nothing at all was there.
    if (found > 0) seat.trust += (1 - seat.trust) * kTrustStep;
    return 0;
  }
  const double share = static_cast<double>(found) / static_cast<double>(believed);
  seat.trust += (share - seat.trust) * kTrustStep;
  const auto there = static_cast<std::size_t>(static_cast<double>(found) / block_tokens);
  std::size_t dropped = 0;
  for (std::size_t i = prompt.chain.size(); i-- > there;) {
    const Place* place = find(prompt.chain[i]);
    const std::uint32_t index = place == nullptr ? kNone : find_node(*place, holder);
    if (index == kNone) continue;
    drop(index);
    ++dropped;
  }
  return dropped;
}

const PrefixIndex::Place* PrefixIndex::find(std::uint64_t mark) const {
  const auto found = places_.find(mark);
  return found == places_.end() ? nullptr : &found->second;
}

std::uint32_t PrefixIndex::find_node(const Place& place, Holder holder) const {
  std::uint32_t index = place.first;
  while (index != kNone && nodes_[index].holder != holder) index = nodes_[index].next;
  return index;
}

std::size_t PrefixIndex::capacity_of(const Seat& seat) const {
  if (seat.kv_tokens <= 0) return std::numeric_limits<std::size_t>::max();
  const double blocks =
      static_cast<double>(seat.kv_tokens) * seat.density->bytes_per_token() / static_cast<double>(kPrefixBlockBytes);
  return std::max<std::size_t>(1, static_cast<std::size_t>(blocks));
}

void PrefixIndex::add_node(Holder holder, std::uint64_t mark) {
  std::uint32_t index = free_;
  if (index == kNone) {
    index = static_cast<std::uint32_t>(nodes_.size());
    nodes_.emplace_back();
  } else {
    free_ = nodes_[index].next;
  }
  Place& place = places_[mark];
  Node& node = nodes_[index];
  node = Node();
  node.mark = mark;
  node.holder = holder;
  node.next = std::exchange(place.first, index);
  ++place.holders;
  link_newest(index);
  ++seats_[holder].entries;
  ++entries_;
}

void PrefixIndex::touch(std::uint32_t index) {
  unlink(index);
  link_newest(index);
}

void PrefixIndex::link_newest(std::uint32_t index) {
  Node& node = nodes_[index];
  Seat& seat = seats_[node.holder];
  node.used = ++uses_;
  node.newer = kNone;
  node.older = seat.newest;
  if (seat.newest != kNone) nodes_[seat.newest].newer = index;
  seat.newest = index;
  if (seat.oldest == kNone) seat.oldest = index;
}

void PrefixIndex::unlink(std::uint32_t index) {
  const Node& node = nodes_[index];
  Seat& seat = seats_[node.holder];
  (node.newer == kNone ? seat.newest : nodes_[node.newer].older) = node.older;
  (node.older == kNone ? seat.oldest : nodes_[node.older].newer) = node.newer;
}

void PrefixIndex::drop(std::uint32_t index) {
  unlink(index);
  Node& node = nodes_[index];
  const auto place = places_.find(node.mark);
  std::uint32_t* link = &place->second.first;
  while (*link != index) link = &nodes_[*link].next;
  *link = node.next;
  if (--place->second.holders == 0) places_.erase(place);
  --seats_[node.holder].entries;
  --entries_;
  node.next = std::exchange(free_, index);
}

/// The bound is one for all workers: what has been used least of everything goes.
void PrefixIndex::drop_oldest_of_all() {
  std::uint32_t oldest = kNone;
  for (const Seat& seat : seats_) {
    if (seat.oldest == kNone) continue;
    if (oldest == kNone || nodes_[seat.oldest].used < nodes_[oldest].used) oldest = seat.oldest;
  }
  drop(oldest);
}

void PrefixIndex::drop_all(Seat& seat) {
  while (seat.oldest != kNone) drop(seat.oldest);
}

}  // namespace tidegate::gateway
