#include "billing/adapters/stored_usage.h"

#include "base/pg/types.h"
#include "billing/adapters/posting_store.h"

namespace tidegate::billing {

namespace {

constexpr const char* kStoredEvents = R"sql(
  SELECT l.id, (extract(epoch FROM l.admitted_at) * 1000000)::bigint, (extract(epoch FROM l.started_at) * 1000000)::bigint,
         (extract(epoch FROM l.completed_at) * 1000000)::bigint, l.clock_err_us, l.hit, l.miss, l.output, r.model, r.region, r.pool,
         p.tenant_id, p.project_id, p.api_key_id, p.wallet_id, w.currency, t.band, t.hit_micro_per_1m, t.miss_micro_per_1m,
         t.output_micro_per_1m, coalesce(x.rating_no, 1), t.mod_num, t.mod_den,
         CASE WHEN x.rating_no IS NULL THEN l.amount ELSE x.amount END
    FROM (SELECT * FROM usage_log
           WHERE id > $1::uuid AND completed_at >= $2::timestamptz AND completed_at < $3::timestamptz
             AND ($4 = '' OR route IN (SELECT id FROM usage_routes WHERE model = $4))
           ORDER BY id LIMIT $5) l
    JOIN usage_payers p ON p.id = l.payer JOIN usage_routes r ON r.id = l.route JOIN wallets w ON w.id = p.wallet_id
    LEFT JOIN LATERAL (SELECT y.rating_no, y.tariff, y.amount FROM usage_reratings y WHERE y.event_id = l.id
                        ORDER BY y.rating_no DESC LIMIT 1) x ON true
    JOIN usage_tariffs t ON t.id = coalesce(x.tariff, l.tariff)
   ORDER BY l.id)sql";

StoredUsage read_stored_usage(const pqxx::row& row) {
  StoredUsage out;
  out.id = pg::read_uuid(row[0]);
  out.instants = {pg::read_wall(row[1]), pg::read_wall(row[2]), pg::read_wall(row[3]),
                  std::chrono::microseconds(pg::read_int64(row[4]))};
  out.tokens = {pg::read_int64(row[5]), pg::read_int64(row[6]), pg::read_int64(row[7])};
  out.cell = {pg::read_id<TenantId>(row[11]), pg::read_id<ProjectId>(row[12]), pg::read_id<ApiKeyId>(row[13]),
              pg::read_text(row[8]),          pg::read_text(row[9]),           pg::read_text(row[10]),
              pg::read_text(row[16]),         pg::read_text(row[15])};
  out.wallet = pg::read_id<WalletId>(row[14]);
  const price::Ratio factor{pg::read_int64(row[21]), pg::read_int64(row[22])};
  out.minimum = pg::read_money(row[23]);
  for (std::size_t meter = 0; meter < price::kMeterCount; ++meter) {
    const auto rate = Rate::from_micro_per_million(pg::read_int64(row[17 + static_cast<int>(meter)]));
    out.lines[meter] = price::modified_amount(rate, out.tokens.of(price::kMeters[meter]), factor);
    out.minimum -= out.lines[meter];
  }
  out.rating_no = static_cast<std::int32_t>(pg::read_int64(row[20]));
  return out;
}

}  // namespace

std::vector<StoredUsage> load_stored_usage(pqxx::work& tx, const StoredRange& range, const Uuid& after,
                                           std::size_t limit) {
  prefer_indexes(tx);
  std::vector<StoredUsage> out;
  for (const auto& row : tx.exec_params(kStoredEvents, pg::to_sql(after), pg::to_sql(range.from), pg::to_sql(range.to),
                                        range.model, static_cast<std::int64_t>(limit))) {
    out.push_back(read_stored_usage(row));
  }
  return out;
}

Result<price::RatedRequest> rate_stored(const price::PriceBook& book, const StoredUsage& usage) {
  const std::string tenant = usage.cell.tenant.to_string();
  return book.rate({usage.cell.model, usage.cell.currency, usage.cell.region, usage.cell.pool, tenant}, usage.instants,
                   usage.tokens);
}

}  // namespace tidegate::billing
