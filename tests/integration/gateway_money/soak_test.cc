// One wallet, many clients, several gateways, deaths and abandoned requests: never a pico too much, hardly a request too
// little. TG_SOAK_RUNS sets how many wallets are spent (100 for the figures in bench/results/admission.md).
#include <gtest/gtest.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <cstdlib>
#include <shared_mutex>
#include <thread>

#include "base/core/random.h"
#include "base/crypto/end_user.h"
#include "tests/integration/gateway_money/rig.h"

namespace tidegate::gateway {
namespace {

using tidegate::test::eventually;
using std::chrono::seconds;

constexpr const char* kFlat = R"({"price_books": [{"id": "flat", "models": ["flat"], "effective_from": "2020-01-01T00:00:00Z",
  "schedules": [{"name": "flat", "default": true, "rates": {
    "USD": {"input_cache_hit": "1", "input_cache_miss": "1", "output": "1"}}}]}]})";
constexpr std::int64_t kTokens = 1000;  // a request costs 0.001
constexpr int kGateways = 4;
constexpr int kClients = 64;

int runs_wanted() {
  const char* text = std::getenv("TG_SOAK_RUNS");
  return text == nullptr ? 2 : std::max(1, std::atoi(text));
}

struct Soak : RealBilling {
  struct Slot {
    std::shared_mutex mutex;  // shared: a request is on its way; exclusive: the gateway is replaced
    std::unique_ptr<Gateway> gateway;
  };
  enum class Ended : std::uint8_t { kServed, kAbandoned, kRefused, kElse };

  std::vector<Slot> slots{kGateways};
  Customer tenant;
  std::atomic<int> served = 0, abandoned = 0, kills = 0;

  void open_all() {
    ASSERT_TRUE(load_prices_file(kFlat));
    for (int g = 0; g < kGateways; ++g) slots[static_cast<std::size_t>(g)].gateway = open("gw-" + std::to_string(g));
  }
  void use(const std::string& name, const std::string& credit) {
    tenant = customer = make_customer(name, credit);
    for (Slot& slot : slots) {
      ASSERT_TRUE(eventually([&] { return who(*slot.gateway).has_value(); }));
    }
  }
  AdmissionRequest flat_request(Gateway& gateway, const std::string& user) {
    AdmissionRequest wanted = request(gateway, 0, kTokens);
    wanted.model = "flat";
    wanted.end_user = user;
    return wanted;
  }
  awaitable<Ended> run_flat(Gateway& gateway, AdmissionRequest wanted, bool is_abandoned) {
    const RequestId id = wanted.request;
    auto charge = co_await gateway.treasury->meter().admit(std::move(wanted));
    if (!charge) {
      const std::string& reason = charge.error().reason;
      co_return reason == "insufficient_balance" || reason == "budget_exceeded" ? Ended::kRefused : Ended::kElse;
    }
    if (is_abandoned) co_return Ended::kAbandoned;
    FinalReport final;
    final.outcome = Outcome::kCompleted;
    final.finish_reason = "stop";
    final.usage = {.prompt = 0, .cached = 0, .completion = kTokens, .reasoning = 0};
    (*charge)->on_accepted(final.usage, "w1");
    auto settled = co_await (*charge)->settle(std::move(final));
    if (!settled) co_return Ended::kElse;
    const std::lock_guard lock(mutex);
    told[id] = settled->amount;
    co_return Ended::kServed;
  }
  Ended call(Slot& slot, const std::string& user, bool is_abandoned) {
    const std::shared_lock lock(slot.mutex);
    const auto work = [&] { return run_flat(*slot.gateway, flat_request(*slot.gateway, user), is_abandoned); };
    const Ended outcome = slot.gateway->threads.run_on(1, work);
    served += outcome == Ended::kServed ? 1 : 0;
    abandoned += outcome == Ended::kAbandoned ? 1 : 0;
    return outcome;
  }
  /// Until it was refused three times in a row, wherever it asked.
  void client(std::uint64_t seed, bool with_abandonment) {
    Rng rng(seed);
    const std::string user = "user-" + std::to_string(seed % 16);
    const auto give_up = std::chrono::steady_clock::now() + seconds(120);
    for (int refused = 0; refused < 3 && std::chrono::steady_clock::now() < give_up;) {
      const bool is_abandoned = with_abandonment && rng.below(64) == 0;
      const Ended outcome = call(slots[rng.below(kGateways)], user, is_abandoned);
      if (outcome == Ended::kServed || outcome == Ended::kAbandoned) refused = 0;
      if (outcome == Ended::kRefused) ++refused;
    }
  }
  /// Ends without shipping or returning anything, while requests are on their way; then the next life begins.
  void kill(std::size_t which) {
    Slot& slot = slots[which];
    {
      const std::shared_lock lock(slot.mutex);
      Gateway& gateway = *slot.gateway;
      const auto work = [&] { return gateway.treasury->drain(Deadline::after(clock_.mono(), Duration::zero())); };
      gateway.threads.run_on(0, work);
    }
    const std::unique_lock lock(slot.mutex);
    slot.gateway->treasury.reset();
    slot.gateway.reset();
    slot.gateway = open("gw-" + std::to_string(which));
    ASSERT_TRUE(eventually([&] { return who(*slot.gateway).has_value(); }));
    ++kills;
  }
  void spend_with_everybody(std::uint64_t seed, bool with_faults) {
    std::vector<std::thread> clients;
    for (int i = 0; i < kClients; ++i) {
      clients.emplace_back([this, seed, i, with_faults] { client(seed * 1000 + static_cast<std::uint64_t>(i), with_faults); });
    }
    Rng rng(seed);
    if (with_faults) {
      const int after = static_cast<int>(rng.below(800));
      eventually([&] { return served >= after; }, seconds(60));
      kill(rng.below(kGateways));
    }
    for (auto& thread : clients) thread.join();
  }
  /// For a failure's message: what billing knows, and what went wrong on the way.
  std::string books() {
    std::string out = query("SELECT json_build_object('balance', w.balance, 'leased', w.leased, 'events', (SELECT count(*) FROM "
                            "usage_events u WHERE u.wallet_id = w.id), 'amount', (SELECT sum(u.amount) FROM usage_events u WHERE "
                            "u.wallet_id = w.id)) FROM wallets w WHERE w.id = '" + tenant.tenant.wallet_id() + "'");
    for (const auto& line : log_.lines()) {
      const bool is_news = line.json.find("\"level\":\"info\"") == std::string::npos && line.json.find("charge_abandoned") == std::string::npos;
      if (is_news) out += "\n" + line.json;
    }
    return out;
  }
  void end_all() {
    for (Slot& slot : slots) {
      EXPECT_TRUE(slot.gateway->end(seconds(30)));
      slot.gateway.reset();
    }
  }
};

TEST_F(Soak, AWalletWorthAThousandRequestsServesAThousandAndNeverOneMore) {
  open_all();
  const int runs = runs_wanted();
  const Money start = money("1"), price = money("0.001");
  int least_served = 1000, least_after = 1000, total_abandoned = 0;
  std::int64_t all_served = 0;
  for (int run = 0; run < runs; ++run) {
    use("run-" + std::to_string(run), "1");
    served = abandoned = 0;
    spend_with_everybody(static_cast<std::uint64_t>(run) + 1, /*with_faults=*/true);
    const int together = served;
    // What abandoned requests and the dead gateway held came back after the clients had left.
    const auto is_used_up = [&] {
      for (Slot& slot : slots) {
        while (call(slot, "", false) == Ended::kServed) {
        }
      }
      return served >= 990;
    };
    EXPECT_TRUE(eventually(is_used_up, seconds(60))) << "run " << run << ": 99 % of a wallet is usable: " << served;
    ASSERT_LE(served, 1000) << "run " << run << ": " << books();
    least_served = std::min(least_served, together);
    least_after = std::min(least_after, served.load());
    all_served += served;
    total_abandoned += abandoned;
    if (HasFatalFailure()) return;
  }
  end_all();
  EXPECT_EQ(query("SELECT count(*) FROM wallets WHERE balance < 0 OR leased <> 0"), "0");
  EXPECT_EQ(money(query("SELECT sum(balance) FROM wallets w JOIN tenants t ON t.id = w.tenant_id WHERE t.name LIKE 'run-%'")),
            start.times(runs) - price.times(all_served));
  EXPECT_EQ(total_told(), price.times(all_served));
  expect_reconciled();
  std::printf("soak: %d wallets of 1000 requests, %d clients, %d gateways, %d kills, %d abandoned: served %lld (%.3f %%), "
              "least in a run %d (%d while all clients were there), overspent 0\n",
              runs, kClients, kGateways, kills.load(), total_abandoned, static_cast<long long>(all_served),
              static_cast<double>(all_served) / (10.0 * runs), least_after, least_served);
}

TEST_F(Soak, CapsAtEveryLevelHoldAndCanBeUsedUpUnderAThousandCallsAtOnce) {
  open_all();
  use("capped", "100");
  const auto set = [&](const std::string& amount, auto more) {
    v1::SetCapRequest wish;
    wish.set_tenant("capped");
    wish.set_amount(amount);
    wish.set_period("daily");
    more(wish);
    ASSERT_TRUE(budgets(&billing::BudgetApi::SetCap, wish));
  };
  set("0.9", [](v1::SetCapRequest&) {});
  set("0.7", [](v1::SetCapRequest& wish) { wish.set_project("default"); });
  set("0.5", [&](v1::SetCapRequest& wish) { wish.set_key(tenant.key.key().public_id()); });
  set("0.04", [](v1::SetCapRequest& wish) { wish.set_every_user(true); });
  ASSERT_TRUE(eventually([&] {
    return std::ranges::all_of(slots, [](Slot& slot) { return slot.gateway->treasury->feed().caps()->size() == 4; });
  }));
  // 16 end users of 40 requests each want 640; the key's cap allows 500 of them.
  std::atomic<int> left = 1000;
  for (std::size_t i = 0; i < 1000; ++i) {
    Gateway& gateway = *slots[i % kGateways].gateway;
    gateway.threads.post_on(1, [&, i] {
      auto own = [](Soak* self, Gateway* where, std::string user, std::atomic<int>* open_calls) -> awaitable<void> {
        for (int tries = 0; tries < 3; ++tries) {
          const Ended outcome = co_await self->run_flat(*where, self->flat_request(*where, user), false);
          if (outcome == Ended::kServed) ++self->served;
          if (outcome == Ended::kServed) break;
        }
        --*open_calls;
      };
      asio::co_spawn(gateway.threads.context(1), own(this, &gateway, "user-" + std::to_string(i % 16), &left), asio::detached);
    });
  }
  ASSERT_TRUE(eventually([&] { return left == 0; }, seconds(120))) << left;
  const int at_once = served;
  // A gateway whose own users have used up theirs keeps what it leased of the key's cap until that is idle, and the users of
  // others are refused meanwhile.
  const auto is_used_up = [&] {
    for (std::uint64_t seed = 0; seed < 16; ++seed) client(seed, false);
    return served >= 475;
  };
  EXPECT_TRUE(eventually(is_used_up, seconds(60))) << "95 % of the tightest cap is usable: " << served;
  end_all();
  EXPECT_LE(served, 500);
  EXPECT_EQ(query("SELECT count(*) FROM cap_periods p JOIN caps c ON c.id = p.cap_id WHERE p.spent > c.amount OR p.leased <> 0"), "0");
  EXPECT_EQ(query("SELECT count(DISTINCT p.spent) FROM cap_periods p JOIN caps c ON c.id = p.cap_id WHERE c.scope <> 'user'"), "1");
  expect_reconciled();
  std::printf("caps: 1000 calls at once, 3 tries each, 4 levels, %d gateways: %d of 500 served at once, %d in the end; over any cap 0\n",
              kGateways, at_once, served.load());
}

}  // namespace
}  // namespace tidegate::gateway
