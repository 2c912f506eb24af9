#include <fmt/format.h>
#include <gtest/gtest.h>

#include <fstream>
#include <memory>
#include <pqxx/connection>
#include <pqxx/nontransaction>
#include <sstream>

#include "base/pg/migrate.h"
#include "base/pg/types.h"
#include "billing/migrations/migrations.h"
#include "tests/integration/billing/sql_rater.h"
#include "tests/support/pg/pg_server.h"

/// The re-rater of the database against the published vectors, and against itself made wrong.
namespace tidegate::billing {
namespace {

std::string vectors_text() {
  std::ifstream file(TG_SOURCE_DIR "/tests/golden/rating-vectors.json");
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

/// One migrated database; every test works in a transaction that is never committed.
pqxx::connection& database() {
  static const auto connection = [] {
    const std::string dsn = test::fresh_database();
    const Deadline limit = Deadline::after(SystemClock().mono(), std::chrono::seconds(60));
    EXPECT_TRUE(pg::migrate(dsn, "billing", migrations(), limit));
    auto out = std::make_unique<pqxx::connection>(dsn);
    // Not the zone of any vector: a session's own zone must not matter.
    pqxx::nontransaction(*out).exec0("SET timezone = 'Pacific/Apia'");
    return out;
  }();
  return *connection;
}

price::VectorReport run(pqxx::work& tx) {
  SqlRater rater(tx);
  const auto report = price::run_vectors(vectors_text(), rater);
  EXPECT_TRUE(report) << report.error().to_string();
  return report.value_or(price::VectorReport{});
}

TEST(Rerater, EveryVectorOfASingleRequestIsBitEqual) {
  pqxx::work tx(database());
  const auto report = run(tx);
  EXPECT_EQ(report.passed, 55) << report.to_text();
  EXPECT_EQ(report.failed, 0) << report.to_text();
}

struct Mutant {
  const char* name;
  const char* function;  ///< as regprocedure
  const char* from;
  const char* to;
};

const char* const kRerate = "rerate(regclass,uuid,uuid)";
const char* const kVersionOf = "price_version_of(text,text,text,text,text,timestamptz,timestamptz,timestamptz)";

const Mutant kMutants[] = {
    {"window end inclusive", kRerate, "l.time < w.closes", "l.time <= w.closes"},
    {"wall clock of UTC", kRerate, "AT TIME ZONE w.tz", "AT TIME ZONE 'UTC'"},
    {"fixed offset", kRerate, "i.instant AT TIME ZONE w.tz",
     "(i.instant + ('2026-01-01Z'::timestamptz AT TIME ZONE w.tz - '2026-01-01')) AT TIME ZONE 'UTC'"},
    {"date of UTC", kRerate, "(i.instant AT TIME ZONE w.tz)::date", "(i.instant AT TIME ZONE 'UTC')::date"},
    {"no holidays", kRerate, "NOT o.day = ANY (w.holidays)", "true"},
    {"no weekday", kRerate, "::smallint END = ANY (w.days)", "::smallint END IS NOT NULL"},
    {"wrap counted to the wrong day", kRerate, "l.day - 1", "l.day"},
    {"the start decides", kRerate, "WHEN 'completed_at' THEN e.completed_at", "WHEN 'completed_at' THEN e.started_at"},
    {"clock error twice as wide", kRerate, "s.sign * e.clock_err_us", "2 * s.sign * e.clock_err_us"},
    {"prompt tier by misses only", kRerate, "b.hit + b.miss", "b.miss"},
    {"only one modifier", kRerate, "product(p.num) AS num, product(p.den)", "coalesce(min(p.num), 1)::numeric AS num, coalesce(min(p.den), 1)::numeric"},
    {"modifiers truncate", "half_even(numeric,numeric)", "THEN 1 ELSE 0", "THEN 0 ELSE 0"},
    {"minimum for a failed request", kRerate, "CASE WHEN p.is_used THEN", "CASE WHEN true THEN"},
    {"double", kRerate, "b.output::numeric", "b.output::float8::numeric"},
    {"nano ledger", kRerate, "round((s.pico + s.top_up) * 0.000000000001, 12)",
     "round((s.pico + s.top_up) * 0.000000000001, 9)"},
    {"latest book for history", kVersionOf, "v.effective @> o.instant", "upper_inf(v.effective)"},
};

class RewrittenRerater : public testing::TestWithParam<Mutant> {};

TEST_P(RewrittenRerater, IsNoticed) {
  const Mutant& mutant = GetParam();
  pqxx::work tx(database());
  std::string text = tx.exec_params1("SELECT pg_get_functiondef($1::regprocedure)", mutant.function)[0].c_str();
  const std::string before = text;
  for (auto at = text.find(mutant.from); at != text.npos; at = text.find(mutant.from, at + std::string_view(mutant.to).size())) {
    text.replace(at, std::string_view(mutant.from).size(), mutant.to);
  }
  ASSERT_NE(text, before) << "the function no longer says \"" << mutant.from << "\"";
  tx.exec0(text);
  const auto report = run(tx);
  fmt::print("[ mutant   ] SQL, {}: {} vectors fail\n", mutant.name, report.failed);
  EXPECT_GT(report.failed, 0) << mutant.name;
}

INSTANTIATE_TEST_SUITE_P(Rerater, RewrittenRerater, testing::ValuesIn(kMutants));

TEST(Rerater, RatesMillionsAsOneJoin) {
  // The plan must not call a function a row: 100,000 rows in one statement, the sum by hand.
  pqxx::work tx(database());
  run(tx);
  tx.exec0("CREATE TEMP TABLE many ON COMMIT DROP AS SELECT gen_random_uuid() AS id, NULL::uuid AS tenant_id, v.id AS price_version, "
           "t AS admitted_at, t AS started_at, t AS completed_at, 0::bigint AS clock_err_us, 1::bigint AS hit, 1::bigint AS miss, "
           "1::bigint AS output FROM price_versions v, generate_series('2026-11-16 00:00:07+00'::timestamptz, "
           "'2026-11-16 00:00:07+00'::timestamptz + interval '7 days' - interval '1 second', '30 seconds') t WHERE v.model = 'deepseek-flash' AND v.currency = 'USD' AND "
           "v.book = 'ds-v41flash-tou5h'");
  // Five working days with seven peak hours; peak 1.506 a million of each, off-peak half of it.
  const auto row = tx.exec1("SELECT count(*), sum(amount) FROM rerate('many')");
  const std::int64_t rows = 7 * 24 * 120, peak = 5 * 7 * 120;
  EXPECT_EQ(pg::read_int64(row[0]), rows);
  EXPECT_EQ(pg::read_money(row[1]), Money::from_pico(Int128{753'000} * (rows + peak)));
}

}  // namespace
}  // namespace tidegate::billing
