#include "billing/adapters/usage_query.h"

#include <map>

#include "base/pg/types.h"

namespace tidegate::billing {

namespace {

constexpr const char* kListUsage = R"sql(
  SELECT u.id, u.seq, u.tenant_id, u.project_id, u.api_key_id, u.wallet_id, u.lease_id, u.model, u.variant, u.region,
         u.pool, u.worker_id, u.weights_digest, u.status, u.finish_reason,
         (extract(epoch FROM u.admitted_at) * 1000000)::bigint, (extract(epoch FROM u.started_at) * 1000000)::bigint,
         (extract(epoch FROM u.completed_at) * 1000000)::bigint, u.clock_err_us, u.prompt, u.hit, u.output, u.reasoning,
         u.price_version, u.band, u.amount, u.is_stream, u.surface, t.name, u.gateway_id, u.epoch, v.book
    FROM (SELECT l.id FROM usage_log l
           WHERE ($1 = '' OR l.tenant = (SELECT number FROM tenants WHERE id = nullif($1, '')::uuid))
             AND ($2 = '' OR l.id = nullif($2, '')::uuid)
             AND ($3 = '' OR l.completed_at >= nullif($3, '')::timestamptz)
             AND ($4 = '' OR l.completed_at < nullif($4, '')::timestamptz)
             AND ($5 = '' OR l.id < nullif($5, '')::uuid)
           ORDER BY l.id DESC LIMIT $6) page
    JOIN usage_events u USING (id)
    JOIN tenants t ON t.id = u.tenant_id JOIN price_versions v ON v.id = u.price_version
   ORDER BY u.id DESC)sql";
constexpr const char* kUsageLines = R"sql(
  SELECT event_id, meter, quantity::bigint, micro_per_1m, amount, posting FROM rated_lines
   WHERE event_id = ANY ($1::uuid[]) AND voided_by IS NULL ORDER BY event_id, meter)sql";
constexpr const char* kSum = R"sql(
  SELECT t.name, p.name, h.model, h.meter, h.band, h.currency, h.region, h.pool,
         (extract(epoch FROM h.hour) * 1000000)::bigint, sum(h.quantity)::bigint, sum(h.amount)
    FROM usage_hourly h JOIN tenants t ON t.id = h.tenant_id JOIN projects p ON p.id = h.project_id
   WHERE ($1 = '' OR h.tenant_id = nullif($1, '')::uuid)
     AND ($2 = '' OR h.hour >= nullif($2, '')::timestamptz) AND ($3 = '' OR h.hour < nullif($3, '')::timestamptz)
   GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, h.hour
   ORDER BY h.hour DESC, 1, 2, 3, 4, 5, 6, 7, 8 LIMIT 10000)sql";

std::string text_or_empty(const std::optional<Wall>& at) {
  return at ? pg::to_sql(*at) : std::string();
}

UsageRow read_row(const pqxx::row& row) {
  UsageRow out;
  UsageEvent& event = out.event;
  event.request = pg::read_id<RequestId>(row[0]);
  event.sequence = static_cast<std::uint64_t>(pg::read_int64(row[1]));
  event.tenant = pg::read_id<TenantId>(row[2]);
  event.project = pg::read_id<ProjectId>(row[3]);
  event.key = pg::read_id<ApiKeyId>(row[4]);
  event.wallet = pg::read_id<WalletId>(row[5]);
  if (!pg::is_null(row[6])) event.lease = pg::read_id<LeaseId>(row[6]);
  event.model = pg::read_text(row[7]);
  event.variant = pg::read_text(row[8]);
  event.region = pg::read_text(row[9]);
  event.pool = pg::read_text(row[10]);
  event.worker_id = pg::read_text(row[11]);
  event.weights_digest = pg::read_text(row[12]);
  event.status = parse_usage_status(pg::read_text(row[13])).value_or(UsageStatus::kFailed);
  event.finish_reason = pg::read_text(row[14]);
  event.instants = {pg::read_wall(row[15]), pg::read_wall(row[16]), pg::read_wall(row[17]),
                    std::chrono::microseconds(pg::read_int64(row[18]))};
  event.prompt_tokens = pg::read_int64(row[19]);
  event.cached_tokens = pg::read_int64(row[20]);
  event.completion_tokens = pg::read_int64(row[21]);
  event.reasoning_tokens = pg::read_int64(row[22]);
  event.price_version = pg::read_int64(row[23]);
  event.band = pg::read_text(row[24]);
  event.amount = pg::read_money(row[25]);
  event.is_stream = pg::read_bool(row[26]);
  event.surface = pg::read_text(row[27]);
  out.tenant_name = pg::read_text(row[28]);
  out.gateway = pg::read_text(row[29]);
  out.epoch = pg::read_int64(row[30]);
  out.price_book = pg::read_text(row[31]);
  return out;
}

}  // namespace

std::vector<UsageRow> list_usage(pqxx::work& tx, const UsageFilter& filter, const PageOf& page) {
  std::vector<UsageRow> out;
  std::map<Uuid, std::size_t> by_id;
  pg::ArrayLiteral ids;
  const auto rows =
      tx.exec_params(kListUsage, filter.tenant ? filter.tenant->to_string() : "",
                     filter.request ? filter.request->to_string() : "", text_or_empty(filter.from),
                     text_or_empty(filter.to), page.after ? page.after->to_string() : "", page.limit);
  for (const auto& row : rows) {
    out.push_back(read_row(row));
    by_id[out.back().event.request.uuid] = out.size() - 1;
    ids.add(out.back().event.request);
  }
  for (const auto& row : tx.exec_params(kUsageLines, ids.text())) {
    UsageRow& usage = out[by_id.at(pg::read_uuid(row[0]))];
    usage.lines.push_back(
        {pg::read_text(row[1]), pg::read_int64(row[2]), pg::read_int64(row[3]), pg::read_money(row[4])});
    usage.ledger_tx = pg::read_text(row[5]);
  }
  return out;
}

std::vector<UsageSumRow> sum_usage(pqxx::work& tx, const UsageFilter& filter) {
  std::vector<UsageSumRow> out;
  for (const auto& row : tx.exec_params(kSum, filter.tenant ? filter.tenant->to_string() : "",
                                        text_or_empty(filter.from), text_or_empty(filter.to))) {
    out.push_back({pg::read_text(row[0]), pg::read_text(row[1]), pg::read_text(row[2]), pg::read_text(row[3]),
                   pg::read_text(row[4]), pg::read_text(row[5]), pg::read_text(row[6]), pg::read_text(row[7]),
                   pg::read_wall(row[8]), pg::read_int64(row[9]), pg::read_money(row[10])});
  }
  return out;
}

}  // namespace tidegate::billing
