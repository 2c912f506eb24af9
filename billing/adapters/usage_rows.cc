#include "billing/adapters/usage_rows.h"

#include "base/pg/binary_array.h"
#include "base/pg/statement.h"
#include "base/pg/types.h"

namespace tidegate::billing {

namespace {

using pg::BinaryArray;
using pg::ElementType;

constexpr pg::Statement kInsertBatch{"usage_insert_batch", R"sql(
  INSERT INTO wal_batches (gateway_id, epoch, seqs, duplicates, sha256, applied_at)
  VALUES ($1, $2, int8range($3, $4, '[]'), $5, $6::bytea, $7))sql"};

/// ON CONFLICT: two epochs may bring the same event at the same moment, each having found it new.
constexpr pg::Statement kInsertEvents{"usage_insert_events", R"sql(
  INSERT INTO usage_log (seq, admitted_at, started_at, completed_at, priced_at, hit, miss, output, reasoning, payer, route,
                         tariff, tenant, clock_err_us, id, posting, amount, payload_sha256)
  SELECT * FROM unnest($1::bigint[], $2::timestamptz[], $3::timestamptz[], $4::timestamptz[], $5::timestamptz[], $6::bigint[],
                       $7::bigint[], $8::bigint[], $9::bigint[], $10::int[], $11::int[], $12::int[], $13::int[], $14::int[],
                       $15::uuid[], $16::uuid[], $17::numeric[], $18::bytea[])
  ON CONFLICT DO NOTHING)sql"};

constexpr pg::Statement kConsume{"usage_consume_leases", R"sql(
  UPDATE leases l SET consumed = l.consumed + c.amount
    FROM unnest($1::uuid[], $2::numeric[]) AS c(id, amount) WHERE l.id = c.id)sql"};

constexpr pg::Statement kAddHours{"usage_add_hours", R"sql(
  INSERT INTO usage_hours AS h (hour, cell, hit, miss, output, hit_amount, miss_amount, output_amount)
  SELECT * FROM unnest($1::timestamptz[], $2::int[], $3::numeric[], $4::numeric[], $5::numeric[], $6::numeric[],
                       $7::numeric[], $8::numeric[])
  ON CONFLICT (cell, hour) DO UPDATE
     SET hit = h.hit + EXCLUDED.hit, miss = h.miss + EXCLUDED.miss, output = h.output + EXCLUDED.output,
         hit_amount = h.hit_amount + EXCLUDED.hit_amount, miss_amount = h.miss_amount + EXCLUDED.miss_amount,
         output_amount = h.output_amount + EXCLUDED.output_amount)sql"};

constexpr pg::Statement kAdvanceEpoch{"usage_advance_epoch", R"sql(
  UPDATE epochs SET applied_through = $3, receipt_link = nullif($4, '')::bytea WHERE gateway_id = $1 AND epoch = $2)sql"};

constexpr pg::Statement kAddExtraHours{"usage_add_extra_hours", R"sql(
  INSERT INTO usage_hours_extra AS h (hour, cell, meter, quantity, amount)
  SELECT l.hour, l.cell, l.meter, sum(l.quantity), sum(l.amount)
    FROM unnest($1::timestamptz[], $2::int[], $3::text[], $4::numeric[], $5::numeric[]) AS l(hour, cell, meter, quantity, amount)
   GROUP BY 1, 2, 3 ORDER BY 2, 1, 3
  ON CONFLICT (cell, hour, meter) DO UPDATE SET quantity = h.quantity + EXCLUDED.quantity, amount = h.amount + EXCLUDED.amount)sql"};

}  // namespace

void UsageRows::insert_batch(std::int64_t first, std::int64_t last, std::int64_t duplicates, std::string_view sha256,
                             Wall now) const {
  pg::run(tx_, kInsertBatch, gateway_, epoch_, first, last, duplicates, pg::to_bytea(sha256), pg::to_sql(now));
}

std::size_t UsageRows::insert_events(const std::vector<RatedEvent>& events, const std::vector<RowNumbers>& numbers,
                                     const std::map<WalletId, Uuid>& postings) const {
  const std::size_t n = events.size();
  BinaryArray seq(ElementType::kInt8, n), admitted(ElementType::kTimestamptz, n), started(ElementType::kTimestamptz, n),
      completed(ElementType::kTimestamptz, n), priced(ElementType::kTimestamptz, n), hit(ElementType::kInt8, n),
      miss(ElementType::kInt8, n), output(ElementType::kInt8, n), reasoning(ElementType::kInt8, n),
      payer(ElementType::kInt4, n), route(ElementType::kInt4, n), tariff(ElementType::kInt4, n),
      tenant(ElementType::kInt4, n), clock_error(ElementType::kInt4, n), id(ElementType::kUuid, n),
      posting(ElementType::kUuid, n), amount(ElementType::kNumeric, n), sha(ElementType::kBytea, 2 * n);
  for (std::size_t i = 0; i < n; ++i) {
    const UsageEvent& event = *events[i].event;
    const auto& rated = events[i].rated;
    seq.add(static_cast<std::int64_t>(event.sequence));
    admitted.add(event.instants.admitted);
    started.add(event.instants.started);
    completed.add(event.instants.completed);
    priced.add(rated.priced_at);
    hit.add(event.cached_tokens);
    miss.add(event.prompt_tokens - event.cached_tokens);
    output.add(event.completion_tokens);
    reasoning.add(event.reasoning_tokens);
    payer.add(numbers[i].payer);
    route.add(numbers[i].route);
    tariff.add(numbers[i].tariff);
    tenant.add(numbers[i].tenant);
    clock_error.add(
        static_cast<std::int32_t>(event.instants.clock_error.count()));  // rating refuses more than a second
    id.add(event.request);
    const auto posted = postings.find(event.wallet);
    rated.total.is_zero() || posted == postings.end() ? posting.add_null() : posting.add(posted->second);
    amount.add(rated.total);
    sha.add_bytes({reinterpret_cast<const char*>(event.payload_sha256.data()), event.payload_sha256.size()});
  }
  const auto inserted = pg::run(tx_, kInsertEvents, seq.param(), admitted.param(), started.param(), completed.param(),
                                priced.param(), hit.param(), miss.param(), output.param(), reasoning.param(),
                                payer.param(), route.param(), tariff.param(), tenant.param(), clock_error.param(),
                                id.param(), posting.param(), amount.param(), sha.param());
  return inserted.affected_rows();
}

void UsageRows::consume_leases(const std::map<LeaseId, Money>& leases) const {
  if (leases.empty()) return;
  BinaryArray ids(ElementType::kUuid), amounts(ElementType::kNumeric);
  for (const auto& [lease, amount] : leases) {
    ids.add(lease);
    amounts.add(amount);
  }
  pg::run(tx_, kConsume, ids.param(), amounts.param());
}

void add_hours(pqxx::work& tx, const std::map<HourlyKey, HourlySum>& hours, const std::vector<std::int32_t>& cells) {
  if (hours.empty()) return;
  BinaryArray hour(ElementType::kTimestamptz), cell(ElementType::kInt4);
  std::vector<BinaryArray> quantity(price::kMeterCount, BinaryArray(ElementType::kNumeric));
  std::vector<BinaryArray> amount(price::kMeterCount, BinaryArray(ElementType::kNumeric));
  // In the order of the numbers, so that two batches cannot wait for each other's rows.
  std::map<std::pair<std::int32_t, Wall>, const HourlySum*> ordered;
  std::size_t next = 0;
  for (const auto& [key, sum] : hours) ordered.emplace(std::pair(cells[next++], key.second), &sum);
  ExtraHours minimums;
  bool has_minimums = false;
  for (const auto& [key, sum] : ordered) {
    cell.add(key.first);
    hour.add(key.second);
    if (!sum->minimum.is_zero()) {
      has_minimums = true;
      minimums.cell.add(key.first);
      minimums.hour.add(key.second);
      minimums.meter.add_text(kMinimumMeter);
      minimums.quantity.add_count(0);
      minimums.amount.add(sum->minimum);
    }
    for (std::size_t meter = 0; meter < price::kMeterCount; ++meter) {
      quantity[meter].add_count(sum->quantity[meter]);
      amount[meter].add(sum->amount[meter]);
    }
  }
  pg::run(tx, kAddHours, hour.param(), cell.param(), quantity[0].param(), quantity[1].param(), quantity[2].param(),
          amount[0].param(), amount[1].param(), amount[2].param());
  if (has_minimums) add_extra_hours(tx, minimums);
}

void add_extra_hours(pqxx::work& tx, const ExtraHours& extra) {
  pg::run(tx, kAddExtraHours, extra.hour.param(), extra.cell.param(), extra.meter.param(), extra.quantity.param(),
          extra.amount.param());
}

void UsageRows::advance_epoch(std::int64_t last, const std::optional<Digest>& receipt_link) const {
  const std::string link = receipt_link ? pg::to_bytea(as_view(*receipt_link)) : "";
  pg::run(tx_, kAdvanceEpoch, gateway_, epoch_, last, link);
}

}  // namespace tidegate::billing
