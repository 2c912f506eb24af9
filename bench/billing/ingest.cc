#include "bench/billing/ingest.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <functional>
#include <mutex>
#include <pqxx/connection>
#include <pqxx/transaction>
#include <thread>

#include "base/crypto/sha256.h"
#include "base/pg/binary_array.h"
#include "base/pg/connect.h"
#include "base/pg/statement.h"
#include "bench/load/process_cpu.h"

namespace tidegate::bench {

namespace {

using pg::BinaryArray;
using pg::ElementType;
using SteadyClock = std::chrono::steady_clock;

[[noreturn]] void give_up(const std::string& what) {
  fmt::print(stderr, "{}\n", what);
  std::exit(1);
}

using Apply = std::function<void(pqxx::work&, const billing::UsageBatch&)>;

IngestFigures measure(const IngestOptions& options, std::vector<Traffic>& traffic, std::int64_t events,
                      const Apply& apply) {
  std::vector<std::unique_ptr<pqxx::connection>> connections;
  for (std::size_t i = 0; i < traffic.size(); ++i)
    connections.push_back(pg::connect({.connection = options.dsn, .application = "bench"}));
  std::atomic<std::int64_t> taken{0};
  std::mutex mutex;
  std::vector<double> batch_ms;
  auto drive = [&](std::size_t i) {
    std::vector<double> mine;
    while (taken.fetch_add(static_cast<std::int64_t>(options.batch_events)) < events) {
      const auto batch = traffic[i].next(options.batch_events);
      const auto started = SteadyClock::now();
      pqxx::work tx(*connections[i]);
      apply(tx, batch);
      tx.commit();
      mine.push_back(std::chrono::duration<double, std::milli>(SteadyClock::now() - started).count());
    }
    const std::lock_guard lock(mutex);
    batch_ms.insert(batch_ms.end(), mine.begin(), mine.end());
  };
  const double own = process_cpu_seconds(::getpid()).value(), database = family_cpu_seconds(options.server_pid).value();
  const auto started = SteadyClock::now();
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < traffic.size(); ++i) threads.emplace_back(drive, i);
  for (auto& thread : threads) thread.join();
  IngestFigures out;
  out.seconds = std::chrono::duration<double>(SteadyClock::now() - started).count();
  out.events = static_cast<std::int64_t>(batch_ms.size() * options.batch_events);
  const auto each_us = [&](double seconds) { return seconds * 1e6 / static_cast<double>(out.events); };
  out.billing_cpu_us = each_us(process_cpu_seconds(::getpid()).value() - own);
  out.database_cpu_us = each_us(family_cpu_seconds(options.server_pid).value() - database);
  std::sort(batch_ms.begin(), batch_ms.end());
  out.batch_ms_p50 = batch_ms[batch_ms.size() / 2];
  out.batch_ms_p99 = batch_ms[batch_ms.size() * 99 / 100];
  return out;
}

constexpr const char* kBareTable = R"sql(
  CREATE TABLE IF NOT EXISTS bare_events (
    id uuid PRIMARY KEY, payload_sha256 bytea NOT NULL, tenant_id uuid NOT NULL, project_id uuid NOT NULL, api_key_id uuid NOT NULL,
    wallet_id uuid NOT NULL, lease_id uuid, model text NOT NULL, worker_id text NOT NULL, seq bigint NOT NULL,
    admitted_at timestamptz NOT NULL, started_at timestamptz NOT NULL, completed_at timestamptz NOT NULL, hit bigint NOT NULL,
    miss bigint NOT NULL, output bigint NOT NULL, amount numeric(38, 12) NOT NULL))sql";
constexpr pg::Statement kBareInsert{"bench_bare", R"sql(
  INSERT INTO bare_events SELECT * FROM unnest($1::uuid[], $2::bytea[], $3::uuid[], $4::uuid[], $5::uuid[], $6::uuid[], $7::uuid[],
    $8::text[], $9::text[], $10::bigint[], $11::timestamptz[], $12::timestamptz[], $13::timestamptz[], $14::bigint[], $15::bigint[],
    $16::bigint[], $17::numeric[]))sql"};

void insert_batch_bare(pqxx::work& tx, const billing::UsageBatch& batch) {
  BinaryArray id(ElementType::kUuid), sha(ElementType::kBytea), tenant(ElementType::kUuid), project(ElementType::kUuid),
      key(ElementType::kUuid), wallet(ElementType::kUuid), lease(ElementType::kUuid), model(ElementType::kText),
      worker(ElementType::kText), seq(ElementType::kInt8), admitted(ElementType::kTimestamptz),
      started(ElementType::kTimestamptz), completed(ElementType::kTimestamptz), hit(ElementType::kInt8),
      miss(ElementType::kInt8), output(ElementType::kInt8), amount(ElementType::kNumeric);
  for (const auto& event : batch.events) {
    id.add(event.request);
    sha.add_bytes({reinterpret_cast<const char*>(event.payload_sha256.data()), event.payload_sha256.size()});
    tenant.add(event.tenant);
    project.add(event.project);
    key.add(event.key);
    wallet.add(event.wallet);
    lease.add(event.lease);
    model.add_text(event.model);
    worker.add_text(event.worker_id);
    seq.add(static_cast<std::int64_t>(event.sequence));
    admitted.add(event.instants.admitted);
    started.add(event.instants.started);
    completed.add(event.instants.completed);
    hit.add(event.cached_tokens);
    miss.add(event.prompt_tokens - event.cached_tokens);
    output.add(event.completion_tokens);
    amount.add(event.amount);
  }
  pg::run(tx, kBareInsert, id.param(), sha.param(), tenant.param(), project.param(), key.param(), wallet.param(),
          lease.param(), model.param(), worker.param(), seq.param(), admitted.param(), started.param(),
          completed.param(), hit.param(), miss.param(), output.param(), amount.param());
}

}  // namespace

IngestFigures ingest(const IngestOptions& options, std::vector<Traffic>& traffic, std::int64_t events) {
  SystemClock clock;
  SystemEntropy entropy;
  UuidV7Source ids(clock, entropy);
  billing::PriceCache prices;
  billing::UsageDimensions dimensions;
  auto apply = [&](pqxx::work& tx, const billing::UsageBatch& batch) {
    const auto applied = billing::apply_usage(tx, batch, {&prices, &dimensions, &ids, "2025b", clock.wall()});
    if (!applied) give_up(applied.error().to_string());
    if (applied->applied != batch.events.size()) give_up("a batch was applied in part");
  };
  return measure(options, traffic, events, apply);
}

IngestFigures insert_bare(const IngestOptions& options, std::vector<Traffic>& traffic, std::int64_t events) {
  pqxx::connection connection(options.dsn);
  pqxx::work tx(connection);
  tx.exec(kBareTable);
  tx.exec("TRUNCATE bare_events");
  tx.commit();
  return measure(options, traffic, events, insert_batch_bare);
}

}  // namespace tidegate::bench
