// What admitting a request costs in process: key -> principal -> caps -> worst price -> hold at five levels, with the
// leases open, one after another on one thread, while nothing may be asked of billing. Beside it, in the same run, what
// it would cost to ask: one conditional UPDATE of the wallet's row in a PostgreSQL on the same machine, over a unix
// socket, committed, with and without fsync.
//
//   admission_bench [samples=200000]
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <pqxx/pqxx>
#include <thread>

#include "base/core/log.h"
#include "base/crypto/end_user.h"
#include "base/net/io_threads.h"
#include "gateway/money/treasury.h"
#include "tests/support/gateway/fake_billing.h"
#include "tests/support/gateway/memory_disk.h"
#include "tests/support/pg/pg_server.h"
#include "tests/support/sequential_ids.h"

namespace {

using namespace tidegate;
using namespace tidegate::gateway;
using Clocked = std::chrono::steady_clock;
using FakeBilling = gateway::test::FakeBilling;

constexpr const char* kPepper = "0123456789abcdef0123456789abcdef";
Money money(std::string_view text) { return *Money::parse(text); }
std::string raw(std::uint64_t n) { return std::string(tidegate::test::SequentialIds::make(n).raw()); }

struct Samples {
  std::vector<std::int64_t> ns;
  void add(Clocked::duration took) { ns.push_back(std::chrono::nanoseconds(took).count()); }
  std::string text() {
    std::sort(ns.begin(), ns.end());
    const auto at = [&](std::size_t per_mille) { return ns[std::min(ns.size() - 1, ns.size() * per_mille / 1000)]; };
    const auto us = [](std::int64_t value) { return fmt::format("{}.{:02}", value / 1000, value % 1000 / 10); };
    return fmt::format("{:>9} {:>9} {:>9}  us (p50 p99 p99.9)", us(at(500)), us(at(990)), us(at(999)));
  }
};

v1::PriceVersion flat_price() {
  v1::PriceVersion version;
  version.set_id(1);
  version.set_book("bench");
  version.set_model("m");
  version.set_currency("USD");
  version.set_basis(v1::PRICE_BASIS_COMPLETED_AT);
  v1::PriceSchedule* schedule = version.add_schedules();
  schedule->set_name("flat");
  schedule->set_is_default(true);
  schedule->set_tz("UTC");
  for (const char* meter : {"input_cache_hit", "input_cache_miss", "output"}) {
    v1::PriceRate* rate = schedule->add_rates();
    rate->set_meter(meter);
    rate->set_micro_per_million(1'000'000);
  }
  return version;
}

struct Bench {
  IoThreads threads{2, "bench"};
  SystemClock clock;
  FakeBilling billing{threads.executor(0), clock};
  gateway::test::MemoryDisk disk;
  SystemEntropy entropy;
  MemoryRegistry registry;
  JsonLog log{clock, "bench", LogLevel::kError};
  std::shared_ptr<Treasury> treasury;
  std::string key_text;
  Samples principal, caps, price, hold, total;

  void open() {
    const WalletId wallet = billing.add_wallet(money("1000000"));
    const MintedKey minted = mint_api_key(entropy, KeyKind::kTenant);
    key_text = minted.text;
    v1::Principal who;
    who.set_key_id(raw(77));
    who.set_public_id(minted.public_id);
    who.set_key_mac(std::string(as_view(api_key_mac(kPepper, minted.text))));
    who.set_tenant_id(raw(71));
    who.set_project_id(raw(72));
    who.set_wallet_id(std::string(wallet.raw()));
    who.set_currency("USD");
    billing.add_key(std::move(who));
    billing.add_price(flat_price());
    billing.add_cap(raw(71), v1::CAP_SCOPE_TENANT, "", money("900000"));
    billing.add_cap(raw(71), v1::CAP_SCOPE_PROJECT, raw(72), money("800000"));
    billing.add_cap(raw(71), v1::CAP_SCOPE_KEY, raw(77), money("700000"));
    billing.add_cap(raw(71), v1::CAP_SCOPE_USER, "", money("600000"));
    TreasuryConfig config;
    config.gateway_id = "gw-bench";
    config.pepper = kPepper;
    config.journal_folder = "/journal";
    config.receipts = ReceiptIssuer{"bench", Ed25519Key::mint(entropy)};
    TreasuryParts parts{billing, disk, clock, entropy, registry, log, threads.executor(0), {}};
    treasury = Treasury::open(std::move(config), std::move(parts)).value();
    treasury->start();
    while (!treasury->ready()) std::this_thread::yield();
  }

  awaitable<bool> admit_once(bool is_counted) {
    const auto t0 = Clocked::now();
    const auto who = treasury->principals().authenticate(key_text, {});
    const auto t1 = Clocked::now();
    const auto table = treasury->feed().caps();
    std::vector<NodeId> path;
    table->find(**who, end_user_id(kPepper, (*who)->tenant, "ann@example.com"), path);
    const auto t2 = Clocked::now();
    const auto book = treasury->feed().prices();
    const price::PriceKey what{.model = "m", .currency = (*who)->currency, .region = "local", .pool = "cpu"};
    const Wall now = clock.wall();
    const auto worst = book->worst_case(what, now, now + std::chrono::seconds(60), 2000, 500);
    const auto t3 = Clocked::now();
    const Mono give_up = clock.mono() + std::chrono::seconds(2);
    const Result<Hold> held = co_await treasury->leases().hold((*who)->wallet, path, *worst, give_up);
    const auto t4 = Clocked::now();
    if (!held || path.size() != 4) co_return false;
    treasury->leases().settle((*who)->wallet, *held, Money());
    if (is_counted) {
      principal.add(t1 - t0);
      caps.add(t2 - t1);
      price.add(t3 - t2);
      hold.add(t4 - t3);
      total.add(t4 - t0);
    }
    co_return true;
  }
  awaitable<int> admit_many(int samples, bool is_counted) {
    int failed = 0;
    for (int i = 0; i < samples; ++i) {
      const bool is_held = co_await admit_once(is_counted);
      failed += is_held ? 0 : 1;
    }
    co_return failed;
  }
  int run(int samples, bool is_counted) {
    const auto work = [&] { return admit_many(samples, is_counted); };
    return threads.run_on(1, work);
  }
  int calls() const { return billing.calls(FakeBilling::Call::kAcquire) + billing.calls(FakeBilling::Call::kReturn); }
};

/// What a gateway without leases would do for each request and each level.
Samples reserve_in_postgres(tidegate::test::PgServer::Durability durability, int samples) {
  tidegate::test::PgServer server(durability);
  pqxx::connection connection(server.connection_string());
  {
    pqxx::work tx(connection);
    tx.exec("CREATE TABLE wallets (id int PRIMARY KEY, balance numeric(38,12), leased numeric(38,12)) WITH (fillfactor = 50)");
    tx.exec("INSERT INTO wallets VALUES (1, 1000000, 0)");
    tx.commit();
  }
  connection.prepare("reserve", "UPDATE wallets SET leased = leased + $2::numeric WHERE id = $1 AND balance - leased >= $2::numeric RETURNING leased");
  Samples out;
  for (int i = 0; i < samples; ++i) {
    const auto begin = Clocked::now();
    pqxx::nontransaction tx(connection);
    tx.exec_prepared1("reserve", 1, "0.0025");
    out.add(Clocked::now() - begin);
  }
  return out;
}

}  // namespace

int main(int argc, char** argv) {
  const int samples = argc > 1 ? std::max(1000, std::atoi(argv[1])) : 200'000;
  Bench bench;
  bench.open();
  // The reserve follows the demand of the last seconds: let it.
  const auto warm_until = Clocked::now() + std::chrono::seconds(4);
  int failed = 0;
  while (Clocked::now() < warm_until) failed += bench.run(1000, false);
  const int before = bench.calls();
  const auto begin = Clocked::now();
  failed += bench.run(samples, true);
  const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(Clocked::now() - begin).count();
  fmt::print("{} admissions in {} ms, wallet and 4 caps; refused {}; calls to billing while measuring {}\n", samples, took, failed,
             bench.calls() - before);
  fmt::print("key -> principal (HMAC)    {}\n", bench.principal.text());
  fmt::print("end user, caps that bind   {}\n", bench.caps.text());
  fmt::print("worst price                {}\n", bench.price.text());
  fmt::print("hold, five levels          {}\n", bench.hold.text());
  fmt::print("all of it                  {}\n", bench.total.text());
  const auto drain = [&] { return bench.treasury->drain(Deadline::after(bench.clock.mono(), Duration::zero())); };
  bench.threads.run_on(0, drain);
  bench.treasury.reset();
  bench.threads.stop();
  using Durability = tidegate::test::PgServer::Durability;
  fmt::print("one UPDATE, fsync off      {}\n", reserve_in_postgres(Durability::kOff, 20'000).text());
  fmt::print("one UPDATE, fsync on       {}\n", reserve_in_postgres(Durability::kOn, 5'000).text());
  return failed == 0 ? 0 : 1;
}
