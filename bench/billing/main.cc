// How much usage billing takes, beside what the same PostgreSQL could take at most, and whether it stays so.
//
//   tidegate-bench-billing [--connections 1,2,4] [--events 200000] [--fill 1000000,2000000] [--days 0] [--tenants 100]
//                          [--reads 200]
//
// Starts a private PostgreSQL with fsync and synchronous_commit on. First each number of connections: apply_usage
// (rating, ledger, rollup, idempotency, leases) and a bare unnest insert of the same events, `events` each. Then, with
// the last number of connections, fills up to each size of --fill and prints the throughput on the way there; and at each
// size `events` in bursts, medians of both kinds side by side: those tell whether size matters. --days spreads this traffic
// over the last days, as a month of it would be; 0 keeps it within minutes. Then reads.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <map>
#include <pqxx/connection>
#include <pqxx/nontransaction>
#include <pqxx/result>

#include "base/pg/migrate.h"
#include "bench/billing/ingest.h"
#include "bench/billing/reads.h"
#include "billing/adapters/reconcile.h"
#include "billing/migrations/migrations.h"
#include "tests/support/pg/pg_server.h"

namespace tidegate::bench {
namespace {

constexpr int kBursts = 5;

struct Arguments {
  std::vector<std::int64_t> connections = {1, 2, 4};
  std::vector<std::int64_t> fill = {1'000'000, 2'000'000, 3'000'000};
  std::map<std::string_view, std::int64_t> single = {
      {"--events", 200'000}, {"--tenants", 100}, {"--reads", 200}, {"--reconcile", 0}, {"--profile", 0}, {"--days", 0}};
  std::int64_t of(std::string_view name) const { return single.at(name); }
};

std::vector<std::int64_t> numbers(std::string_view text) {
  std::vector<std::int64_t> out;
  while (!text.empty()) {
    const auto comma = std::min(text.find(','), text.size());
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + comma, value);
    if (error != std::errc() || end != text.data() + comma || value < 0) {
      fmt::print(stderr, "'{}' is not a list of numbers\n", text);
      std::exit(2);
    }
    out.push_back(value);
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return out;
}

Arguments parse(int argc, char** argv) {
  Arguments out;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string_view name = argv[i];
    const auto values = numbers(argv[i + 1]);
    if (name == "--connections") {
      out.connections = values;
    } else if (name == "--fill") {
      out.fill = values;
    } else if (const auto option = out.single.find(name); option != out.single.end()) {
      option->second = values.empty() ? 0 : values.front();
    } else {
      fmt::print(stderr, "unknown option {}\n", name);
      std::exit(2);
    }
  }
  return out;
}

/// One set of traffic for a run: no two runs may mint the same ids.
std::vector<Traffic> traffic_of(const TownOptions& town, std::int64_t connections, Wall start) {
  std::vector<Traffic> out;
  for (int i = 0; i < connections; ++i) out.emplace_back(town, i, start);
  return out;
}

void print(std::string_view what, const IngestFigures& f) {
  fmt::print(
      "{:<28} {:>9.0f} events/s   batch p50 {:>6.1f} ms p99 {:>6.1f} ms   CPU an event: billing {:>5.1f} us, database "
      "{:>5.1f} us\n",
      what, f.events_per_second(), f.batch_ms_p50, f.batch_ms_p99, f.billing_cpu_us, f.database_cpu_us);
  std::fflush(stdout);
}

std::string fresh_town(test::PgServer& server, const TownOptions& town) {
  const std::string dsn = server.create_database("bench");
  const auto report = pg::migrate(dsn, "billing", billing::migrations(), Deadline::never());
  if (!report) fmt::print(stderr, "{}\n", report.error().to_string()), std::exit(1);
  build_town(dsn, town);
  return dsn;
}

/// Where the database spent its time, a statement a line. Needs the module, which slows everything a little.
void print_profile(const std::string& dsn, std::int64_t events) {
  pqxx::connection connection(dsn);
  pqxx::nontransaction session(connection);
  for (const auto& row :
       session.exec("SELECT calls, round((total_exec_time + total_plan_time)::numeric, 0), left(regexp_replace(query, "
                    "'\\s+', ' ', 'g'), 70), total_exec_time * 1000 / " +
                    std::to_string(std::max<std::int64_t>(events, 1)) +
                    " FROM pg_stat_statements ORDER BY total_exec_time DESC LIMIT 25")) {
    fmt::print("{:>8} calls {:>8} ms {:>6.6} us an event  {}\n", row[0].c_str(), row[1].c_str(), row[3].c_str(),
               row[2].c_str());
  }
}

/// A quarter of 24 GB of memory, and as little written twice as durability allows.
const std::vector<std::string> kServerSettings = {
    "shared_buffers=6GB", "max_wal_size=32GB",         "checkpoint_timeout=15min",  "wal_buffers=64MB", "wal_compression=lz4",
    "wal_init_zero=off",  "bgwriter_delay=20ms",       "bgwriter_lru_maxpages=1000"};

/// Bursts at one size, after a checkpoint, so that what filling left to write is not charged to them, and after one of
/// each that is not counted. Prints the medians and returns how many events were stored.
std::int64_t measure_at(const std::string& dsn, int server_pid, std::vector<Traffic>& real, std::vector<Traffic>& bare,
                        std::int64_t events) {
  {
    pqxx::connection connection(dsn);
    pqxx::nontransaction(connection).exec("CHECKPOINT");
  }
  const IngestOptions options{dsn, server_pid};
  std::vector<IngestFigures> applied, inserted;
  std::int64_t stored = 0;
  for (int i = 0; i <= kBursts; ++i) {
    applied.push_back(ingest(options, real, events));
    inserted.push_back(insert_bare(options, bare, events));
    stored += applied.back().events;
  }
  const auto median = [](std::vector<IngestFigures>& bursts) {
    bursts.erase(bursts.begin());
    std::ranges::sort(bursts, {}, &IngestFigures::events_per_second);
    return bursts[bursts.size() / 2];
  };
  const IngestFigures ours = median(applied), ceiling = median(inserted);
  print("  then, median of bursts", ours);
  print("  bare insert, median", ceiling);
  fmt::print("{:<28} {:>9.2f}\n", "  ratio", ours.events_per_second() / ceiling.events_per_second());
  return stored;
}

int run(const Arguments& arguments) {
  auto settings = kServerSettings;
  fmt::print("PostgreSQL: fsync=on synchronous_commit=on {}\n", fmt::join(settings, " "));
  if (arguments.of("--profile") > 0) settings.push_back("shared_preload_libraries=pg_stat_statements");
  test::PgServer server(test::PgServer::Durability::kOn, settings);
  TownOptions town;
  town.tenants = static_cast<int>(arguments.of("--tenants"));
  town.gateways = static_cast<int>(
      std::max<std::int64_t>(1, *std::max_element(arguments.connections.begin(), arguments.connections.end())));
  const Wall now = SystemClock().wall();
  std::string dsn;
  std::int64_t stored = 0;
  for (const std::int64_t n : arguments.connections) {
    dsn = fresh_town(server, town);
    const IngestOptions options{dsn, server.pid()};
    if (arguments.of("--profile") > 0) {
      pqxx::connection connection(dsn);
      pqxx::nontransaction session(connection);
      session.exec("CREATE EXTENSION pg_stat_statements");
      session.exec("SELECT pg_stat_statements_reset()");
    }
    auto real = traffic_of(town, n, now - std::chrono::minutes(30));
    ingest(options, real, 20'000);  // warms caches and plans
    const auto figures = ingest(options, real, arguments.of("--events"));
    stored = arguments.of("--events") + 20'000;
    auto bare = traffic_of(town, n, now - std::chrono::minutes(30));
    const auto ceiling = insert_bare(options, bare, arguments.of("--events"));
    print(fmt::format("{} connections, apply_usage", n), figures);
    if (arguments.of("--profile") > 0) print_profile(dsn, stored);
    print(fmt::format("{} connections, bare insert", n), ceiling);
    fmt::print("{:<28} {:>9.2f}\n", "ratio", figures.events_per_second() / ceiling.events_per_second());
  }
  if (!arguments.fill.empty() && arguments.fill.front() > 0) {
    const std::int64_t connections = arguments.connections.back();
    Wall start = now - std::chrono::minutes(30);
    if (const std::chrono::microseconds span = std::chrono::hours(24 * arguments.of("--days")); span.count() > 0) {
      start = now - span;
      const auto bursts = static_cast<std::int64_t>(arguments.fill.size()) * arguments.of("--events") * (kBursts + 1) / kBursts;
      town.gap = span * connections / (arguments.fill.back() + bursts);
    }
    dsn = fresh_town(server, town);
    stored = 0;
    auto real = traffic_of(town, connections, start);
    auto bare = traffic_of(town, connections, start);
    for (const std::int64_t size : arguments.fill) {
      const auto figures = ingest({dsn, server.pid()}, real, size - stored);
      print(fmt::format("{} -> {} stored", stored, stored + figures.events), figures);
      stored += figures.events;
      stored += measure_at(dsn, server.pid(), real, bare, arguments.of("--events") / kBursts);
    }
  }
  if (arguments.of("--reads") > 0) {
    for (const auto& read : measure_reads(dsn, town, static_cast<int>(arguments.of("--reads")))) {
      fmt::print("{:<36} p50 {:>7.2f} ms   p95 {:>7.2f} ms   ({} events stored)\n", read.what, read.ms_p50, read.ms_p95,
                 stored);
    }
  }
  if (arguments.of("--reconcile") > 0) {
    pqxx::connection connection(dsn);
    pqxx::work tx(connection);
    const auto started = std::chrono::steady_clock::now();
    const auto report = billing::reconcile(tx);
    fmt::print("reconcile: {} differences over {} events in {:.1f} s\n", report.differences, report.events,
               std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count());
    for (const auto& check : report.checks) {
      if (check.differences > 0) fmt::print("  {}: {} {}\n", check.name, check.differences, check.example);
    }
  }
  return 0;
}

}  // namespace
}  // namespace tidegate::bench

int main(int argc, char** argv) { return tidegate::bench::run(tidegate::bench::parse(argc, argv)); }
