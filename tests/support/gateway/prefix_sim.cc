#include "tests/support/gateway/prefix_sim.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <list>
#include <queue>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "base/core/random.h"
#include "gateway/core/worker_picker.h"

namespace tidegate::gateway::test {
namespace {

constexpr std::int64_t kBlockTokens = 512;
constexpr std::uint64_t kTextSeed = 11;

/// The text of a block's first `tokens`: 3 to 5 bytes each, by the block. No two blocks begin alike.
void add_text(PrefixHasher& hasher, std::uint64_t block, std::int64_t tokens) {
  std::array<char, kBlockTokens * 5> text;
  const std::size_t halves = 6 + block % 5;
  const std::size_t bytes = static_cast<std::size_t>(tokens) * halves / 2;
  Rng rng(block);
  for (std::size_t at = 0; at < bytes; at += sizeof(std::uint64_t)) {
    const std::uint64_t word = rng.next();
    std::memcpy(text.data() + at, &word, std::min(sizeof(word), text.size() - at));
  }
  hasher.add(std::string_view(text.data(), bytes));
}

void finish(TraceRequest& request) {
  PrefixHasher hasher(kTextSeed);
  std::int64_t left = request.tokens;
  for (const std::uint64_t block : request.blocks) {
    add_text(hasher, block, std::min(left, kBlockTokens));
    left -= std::min(left, kBlockTokens);
  }
  request.prefix = hasher.take();
}

/// The number after `"name": `; false when there is none.
bool read_number(std::string_view line, std::string_view name, std::int64_t& out) {
  const std::string key = fmt::format("\"{}\": ", name);
  const std::size_t at = line.find(key);
  if (at == std::string_view::npos) return false;
  const char* begin = line.data() + at + key.size();
  return std::from_chars(begin, line.data() + line.size(), out).ec == std::errc();
}

bool read_blocks(std::string_view line, std::vector<std::uint64_t>& out) {
  std::size_t at = line.find("\"hash_ids\": [");
  if (at == std::string_view::npos) return false;
  at = line.find('[', at) + 1;
  while (at < line.size() && line[at] != ']') {
    if (line[at] == ',' || line[at] == ' ') {
      ++at;
      continue;
    }
    std::uint64_t block = 0;
    const auto read = std::from_chars(line.data() + at, line.data() + line.size(), block);
    if (read.ec != std::errc()) return false;
    out.push_back(block);
    at = static_cast<std::size_t>(read.ptr - line.data());
  }
  return at < line.size();
}

/// A worker's cache of blocks: prefix-closed, the least recently used goes first.
class BlockCache {
 public:
  explicit BlockCache(std::size_t blocks) : capacity_(blocks) {}

  std::size_t match(const std::vector<std::uint64_t>& blocks) const {
    std::size_t found = 0;
    while (found < blocks.size() && places_.contains(blocks[found])) ++found;
    return found;
  }
  void touch(const std::vector<std::uint64_t>& blocks) {
    for (std::size_t i = blocks.size(); i-- > 0;) {
      const auto found = places_.find(blocks[i]);
      if (found != places_.end()) {
        order_.splice(order_.end(), order_, found->second);
      } else {
        places_.emplace(blocks[i], order_.insert(order_.end(), blocks[i]));
      }
    }
    while (places_.size() > capacity_) {
      places_.erase(order_.front());
      order_.pop_front();
    }
  }

 private:
  std::size_t capacity_;
  std::list<std::uint64_t> order_;  ///< newest last
  std::unordered_map<std::uint64_t, std::list<std::uint64_t>::iterator> places_;
};

struct SimWorker {
  explicit SimWorker(std::size_t blocks) : cache(blocks) {}
  BlockCache cache;
  double free_at_s = 0;
  std::int64_t tokens_computed = 0;
};

/// What a worker tells: that it has begun to read a prompt, and that it has read it.
struct Report {
  enum class Kind : std::uint8_t { kAccepted, kOutput };
  double at_s = 0;
  std::uint64_t order = 0;
  Kind kind = Kind::kAccepted;
  std::size_t worker = 0;
  std::size_t request = 0;
  std::size_t blocks_believed = 0;
  std::int64_t tokens_cached = 0;

  bool operator>(const Report& other) const {
    return std::pair(at_s, order) > std::pair(other.at_s, other.order);
  }
};

class Simulation {
 public:
  Simulation(const std::vector<TraceRequest>& trace, RoutingPolicy policy, const PrefixSimOptions& options)
      : trace_(trace), policy_(policy), options_(options), index_(options.entries_max), picker_({}, 1) {
    const auto blocks = static_cast<std::size_t>(options.cache_tokens / kBlockTokens);
    workers_.reserve(options.workers);
    for (std::size_t i = 0; i < options.workers; ++i) {
      workers_.emplace_back(blocks);
      index_.join(fmt::format("worker-{}", i), kModel, options.cache_tokens);
    }
    is_forgotten_.resize(trace.size());
  }

  PrefixSimResult run() {
    for (std::size_t i = 0; i < trace_.size(); ++i) {
      hear_until(trace_[i].at_s);
      serve(i, choose(i));
    }
    return result();
  }

 private:
  static constexpr const char* kModel = "m";

  struct Choice {
    std::size_t worker = 0;
    std::size_t blocks_believed = 0;
  };

  Choice choose(std::size_t i) {
    const TraceRequest& request = trace_[i];
    if (policy_ == RoutingPolicy::kRoundRobin) return {i % workers_.size(), 0};
    const std::int64_t prompt_tokens = index_.tokens_in(kModel, request.prefix.bytes);
    std::vector<WorkerView> views(workers_.size());
    std::vector<std::size_t> blocks(workers_.size(), 0);
    for (std::size_t w = 0; w < workers_.size(); ++w) {
      const double queue_s = std::max(0.0, workers_[w].free_at_s - request.at_s);
      views[w].prefill_rate = options_.prefill_rate;
      views[w].tokens_ahead = static_cast<std::int64_t>(queue_s * options_.prefill_rate);
      views[w].tokens_lifetime = workers_[w].tokens_computed;
    }
    if (policy_ == RoutingPolicy::kLeastTime) {
      index_.match(request.prefix.chain, matches_);
      for (const PrefixIndex::Match& match : matches_) {
        blocks[match.holder] = match.blocks;
        views[match.holder].tokens_cached = index_.tokens_of(match.holder, match.blocks);
      }
    }
    const std::size_t worker = picker_.pick(views, prompt_tokens).value();
    return {worker, blocks[worker]};
  }

  void serve(std::size_t i, const Choice& choice) {
    const TraceRequest& request = trace_[i];
    SimWorker& worker = workers_[choice.worker];
    std::int64_t cached = 0;
    if (options_.has_cache) {
      const auto blocks = static_cast<std::int64_t>(worker.cache.match(request.blocks));
      cached = std::min(blocks * kBlockTokens, request.tokens - 1);
      worker.cache.touch(request.blocks);
    }
    const std::int64_t computed = request.tokens - cached;
    const double begins_s = std::max(worker.free_at_s, request.at_s);
    worker.free_at_s = begins_s + static_cast<double>(computed) / options_.prefill_rate;
    worker.tokens_computed += computed;
    tokens_ += request.tokens;
    tokens_cached_ += cached;
    waits_s_.push_back(worker.free_at_s - request.at_s);
    if (policy_ != RoutingPolicy::kLeastTime) return;
    index_.insert(static_cast<PrefixIndex::Holder>(choice.worker), request.prefix.chain);
    Report report{begins_s, ++reports_made_, Report::Kind::kAccepted, choice.worker, i, choice.blocks_believed, cached};
    reports_.push(report);
    report.at_s = worker.free_at_s;
    report.order = ++reports_made_;
    report.kind = Report::Kind::kOutput;
    reports_.push(report);
  }

  void hear_until(double now_s) {
    while (!reports_.empty() && reports_.top().at_s <= now_s) {
      const Report report = reports_.top();
      reports_.pop();
      const TraceRequest& request = trace_[report.request];
      const auto holder = static_cast<PrefixIndex::Holder>(report.worker);
      if (report.kind == Report::Kind::kAccepted) {
        const std::size_t dropped = index_.learn(holder, request.prefix, report.blocks_believed, request.tokens,
                                                 report.tokens_cached);
        is_forgotten_[report.request] = dropped > 0;
      } else if (is_forgotten_[report.request]) {
        index_.insert(holder, request.prefix.chain);
      }
    }
  }

  PrefixSimResult result() {
    PrefixSimResult out;
    out.hit_share = static_cast<double>(tokens_cached_) / static_cast<double>(tokens_);
    std::ranges::sort(waits_s_);
    for (const double wait_s : waits_s_) out.ttft_mean_s += wait_s / static_cast<double>(waits_s_.size());
    out.ttft_p90_s = waits_s_[waits_s_.size() * 90 / 100];
    out.ttft_p99_s = waits_s_[waits_s_.size() * 99 / 100];
    std::int64_t most = 0;
    for (const SimWorker& worker : workers_) most = std::max(most, worker.tokens_computed);
    const double mean = static_cast<double>(tokens_ - tokens_cached_) / static_cast<double>(workers_.size());
    out.work_max_over_mean = static_cast<double>(most) / mean;
    out.entries = index_.entries();
    return out;
  }

  const std::vector<TraceRequest>& trace_;
  const RoutingPolicy policy_;
  const PrefixSimOptions options_;
  PrefixIndex index_;
  WorkerPicker picker_;
  std::vector<SimWorker> workers_;
  std::vector<PrefixIndex::Match> matches_;
  std::priority_queue<Report, std::vector<Report>, std::greater<>> reports_;
  std::uint64_t reports_made_ = 0;
  std::vector<bool> is_forgotten_;
  std::int64_t tokens_ = 0;
  std::int64_t tokens_cached_ = 0;
  std::vector<double> waits_s_;
};

}  // namespace

Result<std::vector<TraceRequest>> load_mooncake_trace(const std::string& path) {
  std::ifstream file(path);
  if (!file) return fail(Code::kNotFound, "no_trace", fmt::format("there is no trace at {}", path));
  std::vector<TraceRequest> trace;
  std::string line;
  while (std::getline(file, line)) {
    TraceRequest request;
    std::int64_t at_ms = 0;
    if (!read_number(line, "timestamp", at_ms) || !read_number(line, "input_length", request.tokens) ||
        !read_blocks(line, request.blocks) || request.tokens <= 0) {
      return fail(Code::kInvalidArgument, "bad_trace", fmt::format("{}: line {} is none", path, trace.size() + 1));
    }
    request.at_s = static_cast<double>(at_ms) / 1'000;
    finish(request);
    trace.push_back(std::move(request));
  }
  std::ranges::stable_sort(trace, {}, &TraceRequest::at_s);
  return trace;
}

std::string mooncake_trace_path(const std::string& source_root) {
  const char* folder = std::getenv("TIDEGATE_TRACES");
  const std::string root = folder != nullptr ? std::string(folder) : source_root + "/../shared/traces";
  return root + "/mooncake_fast25_conversation_trace.jsonl";
}

std::vector<TraceRequest> synthetic_trace(std::size_t requests, std::uint64_t seed) {
  constexpr double kRequestsPerSecond = 4;
  constexpr double kNextTurnShare = 0.6;
  constexpr std::size_t kOpenMost = 200;
  constexpr std::size_t kTurnsEndAt = 120;  // blocks
  Rng rng(seed);
  std::uint64_t last_block = 0;  // block 0 begins every conversation
  std::vector<std::vector<std::uint64_t>> open;
  std::vector<TraceRequest> trace;
  double now_s = 0;
  for (std::size_t i = 0; i < requests; ++i) {
    now_s += -std::log(1 - rng.unit()) / kRequestsPerSecond;
    std::vector<std::uint64_t> blocks = {0};
    std::size_t fresh = 4 + rng.below(24);
    if (!open.empty() && rng.unit() < kNextTurnShare) {
      const auto chosen = open.end() - 1 - static_cast<std::ptrdiff_t>(rng.below(std::min(open.size(), kOpenMost)));
      blocks = std::move(*chosen);
      open.erase(chosen);
      fresh = 1 + rng.below(6);
    }
    for (std::size_t k = 0; k < fresh; ++k) blocks.push_back(++last_block);
    TraceRequest request;
    request.at_s = now_s;
    request.tokens = static_cast<std::int64_t>(blocks.size() - 1) * kBlockTokens + 1 +
                     static_cast<std::int64_t>(rng.below(kBlockTokens));
    request.blocks = blocks;
    finish(request);
    trace.push_back(std::move(request));
    if (blocks.size() <= kTurnsEndAt) open.push_back(std::move(blocks));
  }
  return trace;
}

double hit_ceiling(const std::vector<TraceRequest>& trace) {
  std::unordered_set<std::uint64_t> seen;
  std::int64_t found = 0;
  std::int64_t all = 0;
  for (const TraceRequest& request : trace) {
    std::size_t blocks = 0;
    while (blocks < request.blocks.size() && seen.contains(request.blocks[blocks])) ++blocks;
    found += std::min(static_cast<std::int64_t>(blocks) * kBlockTokens, request.tokens - 1);
    all += request.tokens;
    seen.insert(request.blocks.begin(), request.blocks.end());
  }
  return static_cast<double>(found) / static_cast<double>(all);
}

const char* policy_name(RoutingPolicy policy) {
  switch (policy) {
    case RoutingPolicy::kRoundRobin: return "round robin";
    case RoutingPolicy::kLeastLoad: return "least load";
    case RoutingPolicy::kLeastTime: return "least time";
  }
  return "";
}

PrefixSimResult simulate_routing(const std::vector<TraceRequest>& trace, RoutingPolicy policy,
                                 const PrefixSimOptions& options) {
  return Simulation(trace, policy, options).run();
}

}  // namespace tidegate::gateway::test
