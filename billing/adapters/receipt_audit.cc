#include "billing/adapters/receipt_audit.h"

#include <fmt/format.h>

#include "base/core/log.h"
#include "base/pg/binary_array.h"
#include "base/pg/statement.h"
#include "base/pg/types.h"

namespace tidegate::billing {
namespace {

constexpr const char* kBefore = R"sql(
  SELECT id, gateway_id, epoch, first_seq, last_seq, key_id, previous, bodies, signatures, signature_runs
    FROM receipt_batches
   WHERE gateway_id = $1 AND epoch = $2 AND last_seq = $3)sql";
constexpr pg::Statement kAuditedEvents{"receipt_audit_events", R"sql(
  SELECT a.id, u.amount, u.hit, u.miss, u.output, u.reasoning, (extract(epoch FROM u.completed_at) * 1000000)::bigint,
         uuid_instant(a.id) < (SELECT kept_from FROM usage_retention)
    FROM unnest($1::uuid[]) AS a(id) LEFT JOIN LATERAL (SELECT * FROM usage_log u WHERE u.id = a.id OFFSET 0) u ON true)sql"};

std::string place(const ReceiptPack& pack, std::int64_t sequence) {
  return fmt::format("gateway {} epoch {} sequence {}", pack.gateway, pack.epoch, sequence);
}

}  // namespace

void ReceiptAudit::note(std::string_view what, std::string_view where) {
  if (differences_++ > 0) return;
  example_ = R"({"what":)";
  append_json_string(example_, what);
  example_ += R"(,"where":)";
  append_json_string(example_, where);
  example_ += '}';
}

std::vector<Digest> ReceiptAudit::add(pqxx::work& tx, const ReceiptPack& pack) {
  const auto receipts = unpack(pack);
  if (!receipts) {
    note(receipts.error().message, place(pack, pack.first));
    return {};
  }
  check_link(tx, pack);
  std::map<Uuid, receipt::Receipt> by_request;
  check_bodies(pack, *receipts, by_request);
  check_events(tx, by_request);
  heads_[{pack.gateway, pack.epoch}] = {pack.last, receipts->back().link};
  std::vector<Digest> links;
  for (const UnpackedReceipt& one : *receipts) links.push_back(one.link);
  receipts_ += static_cast<std::int64_t>(links.size());
  return links;
}

void ReceiptAudit::check_link(pqxx::work& tx, const ReceiptPack& pack) {
  const auto head = heads_.find({pack.gateway, pack.epoch});
  Digest expected{};
  if (head != heads_.end() && head->second.first == pack.first - 1) {
    expected = head->second.second;
  } else if (const auto rows = tx.exec_params(kBefore, pack.gateway, pack.epoch, pack.first - 1); !rows.empty()) {
    const auto before = unpack(read_pack(rows[0]).pack);
    if (!before) return note(before.error().message, place(pack, pack.first - 1));
    expected = before->back().link;
  }
  if (expected != pack.previous) note("the chain is broken", place(pack, pack.first));
}

void ReceiptAudit::check_bodies(const ReceiptPack& pack, const std::vector<UnpackedReceipt>& receipts,
                                std::map<Uuid, receipt::Receipt>& by_request) {
  for (std::size_t i = 0; i < receipts.size(); ++i) {
    const UnpackedReceipt& one = receipts[i];
    const std::string where = place(pack, pack.first + static_cast<std::int64_t>(i));
    auto body = receipt::decode_body(one.body);
    if (!body) {
      note(body.error().message, where);
      continue;
    }
    if (body->gateway_id != pack.gateway || body->epoch != static_cast<std::uint64_t>(pack.epoch)) {
      note("it names another gateway or epoch", where);
    }
    const std::uint32_t lot = static_cast<std::uint32_t>(one.link[0]) << 8 | one.link[1];
    if (lot % verify_every_ == 0) {
      receipt::SignedReceipt whole{{one.body, pack.key_id, one.signature}, *body};
      if (const Status verified = receipt::verify_receipt(whole, keys_); !verified)
        note(verified.error().message, where);
      ++verified_;
    }
    const Uuid request = body->request.uuid;
    by_request.insert_or_assign(request, *std::move(body));
  }
}

void ReceiptAudit::check_events(pqxx::work& tx, const std::map<Uuid, receipt::Receipt>& by_request) {
  pg::BinaryArray ids(pg::ElementType::kUuid, by_request.size());
  for (const auto& [id, receipt] : by_request) ids.add(id);
  for (const auto& row : pg::run(tx, kAuditedEvents, ids.param())) {
    const Uuid id = pg::read_uuid(row[0]);
    const receipt::Receipt& r = by_request.at(id);
    if (pg::is_null(row[1])) {
      if (!pg::read_bool(row[7])) note("its usage event is gone", "request " + id.to_string());
      continue;
    }
    const bool is_same = pg::read_money(row[1]) == r.amount && pg::read_int64(row[2]) == r.cached_tokens &&
                         pg::read_int64(row[3]) == r.prompt_tokens - r.cached_tokens &&
                         pg::read_int64(row[4]) == r.completion_tokens &&
                         pg::read_int64(row[5]) == r.reasoning_tokens && pg::read_int64(row[6]) == r.completed_us;
    if (!is_same) note("its usage event says something else", "request " + id.to_string());
  }
}

}  // namespace tidegate::billing
