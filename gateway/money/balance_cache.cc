#include "gateway/money/balance_cache.h"

#include <algorithm>

namespace tidegate::gateway {
namespace {

/// After a silence as many at once as otherwise in this time.
constexpr Duration kBurst = std::chrono::seconds(1);

Error too_often() {
  return {Code::kResourceExhausted, "rate_limit_exceeded",
          "Balances are asked for more often than this gateway asks billing (balance.lookups_per_second); ask again in a "
          "second."};
}

Error given_up() { return {Code::kUnavailable, "balance_unavailable", "The balance could not be looked up; ask again."}; }

}  // namespace

class BalanceCache::Look {
 public:
  Look(BalanceCache& cache, const Key& key) : cache_(cache), key_(key) {}
  ~Look() {
    if (!is_settled_) cache_.settle(key_, fail(given_up()));
  }
  Look(const Look&) = delete;
  Look& operator=(const Look&) = delete;
  void settle(const Answer& answer) {
    is_settled_ = true;
    cache_.settle(key_, answer);
  }

 private:
  BalanceCache& cache_;
  const Key key_;
  bool is_settled_ = false;
};

BalanceCache::BalanceCache(Balances& behind, const BalanceCacheOptions& options, const Clock& clock)
    : behind_(behind),
      options_(options),
      clock_(clock),
      apart_(kBurst / options.lookups_per_second),
      paid_until_(clock.mono()) {}

awaitable<Result<Balances::Balance>> BalanceCache::find(TenantId tenant, WalletId wallet) {
  const Key key(tenant, wallet);
  Ask ask = begin(key);
  switch (ask.turn) {
    case Turn::kAnswered: co_return *std::move(ask.answer);
    case Turn::kLook: break;
    case Turn::kWait: {
      auto start = [this, key](Done done) { wait(key, std::move(done)); };
      auto cancel = [] {};  // the look-up has a time limit of its own
      auto waiting = suspend<Answer>(std::move(start), std::move(cancel));
      co_return co_await std::move(waiting);
    }
  }
  Look look(*this, key);
  auto looking = behind_.find(tenant, wallet);
  Answer answer = co_await std::move(looking);
  look.settle(answer);
  co_return answer;
}

BalanceCache::Ask BalanceCache::begin(const Key& key) {
  const std::lock_guard lock(mutex_);
  const Mono now = clock_.mono();
  Ask ask;
  auto found = entries_.find(key);
  if (found != entries_.end()) {
    const Entry& entry = found->second;
    if (entry.balance && now - entry.at < options_.keep) {
      ask.answer = told(&entry, now);
      return ask;
    }
    if (entry.is_looking) {
      if (entry.waiting.size() < kWaitersMax) {
        ask.turn = Turn::kWait;
      } else {
        ask.answer = told(&entry, now);
      }
      return ask;
    }
  }
  if (!take_turn(now)) {
    ask.answer = told(found == entries_.end() ? nullptr : &found->second, now);
    return ask;
  }
  if (found == entries_.end()) {
    if (entries_.size() >= kWalletsMax) make_room(now);
    if (entries_.size() >= kWalletsMax) {
      ask.answer = Answer(fail(too_often()));
      return ask;
    }
    found = entries_.emplace(key, Entry()).first;
  }
  found->second.is_looking = true;
  ask.turn = Turn::kLook;
  return ask;
}

BalanceCache::Answer BalanceCache::told(const Entry* entry, Mono now) {
  if (entry == nullptr || !entry->balance || now - entry->at >= kStaleMax) return fail(too_often());
  Balance balance = *entry->balance;
  balance.age += now - entry->at;
  return balance;
}

void BalanceCache::wait(const Key& key, Done done) {
  std::optional<Answer> answer;
  {
    const std::lock_guard lock(mutex_);
    const auto found = entries_.find(key);
    if (found == entries_.end()) {
      answer = Answer(fail(given_up()));
    } else if (found->second.is_looking) {
      found->second.waiting.push_back(std::move(done));
      return;
    } else if (found->second.error) {  // it ended between begin() and here
      answer = Answer(fail(*found->second.error));
    } else {
      answer = Answer(*found->second.balance);
    }
  }
  done(*std::move(answer));
}

void BalanceCache::settle(const Key& key, const Answer& answer) {
  std::vector<Done> waiting;
  {
    const std::lock_guard lock(mutex_);
    Entry& entry = entries_.at(key);  // make_room() leaves it while it is looking
    entry.is_looking = false;
    entry.error.reset();
    if (answer) {
      entry.balance = *answer;
      entry.at = clock_.mono();
    } else {
      entry.error = answer.error();
    }
    waiting.swap(entry.waiting);
  }
  for (Done& done : waiting) done(answer);
}

bool BalanceCache::take_turn(Mono now) {
  const Mono from = std::max(paid_until_, now);
  if (from + apart_ - now > kBurst) return false;
  paid_until_ = from + apart_;
  return true;
}

void BalanceCache::make_room(Mono now) {
  std::erase_if(entries_, [&](const auto& one) {
    const Entry& entry = one.second;
    return !entry.is_looking && (!entry.balance || now - entry.at >= options_.keep);
  });
}

}  // namespace tidegate::gateway
