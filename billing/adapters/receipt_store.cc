#include "billing/adapters/receipt_store.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "base/pg/binary_array.h"
#include "base/pg/statement.h"
#include "base/pg/types.h"
#include "billing/adapters/receipt_lock.h"

namespace tidegate::billing {
namespace {

/// The lock is taken before the ids are: who cuts a day waits for us, and no lower id becomes visible after.
constexpr pg::Statement kInsertBatches{"receipt_insert", R"sql(
  INSERT INTO receipt_batches (gateway_id, epoch, first_seq, last_seq, key_id, previous, bodies, signatures,
                               signature_runs)
  SELECT $1::text, $2::bigint, p.first, p.last, p.key, p.previous, p.bodies, p.signatures, p.runs
    FROM pg_advisory_xact_lock_shared($3::bigint) AS locked,
         unnest($4::int8[], $5::int8[], $6::text[], $7::bytea[], $8::bytea[], $9::bytea[], $10::bytea[])
           AS p(first, last, key, previous, bodies, signatures, runs))sql"};
constexpr const char* kFindKey = "SELECT signer, valid_to IS NOT NULL FROM receipt_keys WHERE public_key = $1::bytea";
constexpr const char* kLockSigner = "SELECT pg_advisory_xact_lock(hashtext('receipt_keys/' || $1))";
constexpr const char* kRetireKeys = R"sql(
  UPDATE receipt_keys SET valid_to = greatest(valid_from, $2::timestamptz) WHERE signer = $1 AND valid_to IS NULL)sql";
constexpr const char* kInsertReceiptKey = R"sql(
  INSERT INTO receipt_keys (key_id, signer, deployment, public_key, valid_from)
  VALUES ($1, $2, $3, $4::bytea, $5::timestamptz))sql";
constexpr const char* kListKeys = R"sql(
  SELECT key_id, signer, deployment, public_key, (extract(epoch FROM valid_from) * 1000000)::bigint,
         (extract(epoch FROM valid_to) * 1000000)::bigint
    FROM receipt_keys ORDER BY valid_from DESC, key_id)sql";
constexpr const char* kFindEvent = "SELECT tenant_id, gateway_id, epoch, seq FROM usage_events WHERE id = $1::uuid";
constexpr const char* kFindBatch = R"sql(
  SELECT id, gateway_id, epoch, first_seq, last_seq, key_id, previous, bodies, signatures, signature_runs
    FROM receipt_batches
   WHERE gateway_id = $1 AND epoch = $2 AND first_seq <= $3 ORDER BY first_seq DESC LIMIT 1)sql";
constexpr const char* kLoad = R"sql(
  SELECT id, gateway_id, epoch, first_seq, last_seq, key_id, previous, bodies, signatures, signature_runs
    FROM receipt_batches
   WHERE id > $1 AND id <= $2 ORDER BY id LIMIT $3)sql";

std::unexpected<Error> bad_receipt(const UsageEvent& event, std::size_t index, std::string_view what) {
  return fail(Code::kInvalidArgument, "bad_receipt",
              fmt::format("receipt of request {} (sequence {}): {}", event.request.to_string(), event.sequence, what),
              fmt::format("events[{}].receipt", index));
}

}  // namespace

Digest read_link(const pqxx::field& field) {
  const std::string raw = pg::read_bytea(field);
  Digest digest{};
  if (raw.size() == digest.size()) std::memcpy(digest.data(), raw.data(), digest.size());
  return digest;
}

NumberedPack read_pack(const pqxx::row& row) {
  NumberedPack out;
  out.id = pg::read_int64(row[0]);
  out.pack.gateway = pg::read_text(row[1]);
  out.pack.epoch = pg::read_int64(row[2]);
  out.pack.first = pg::read_int64(row[3]);
  out.pack.last = pg::read_int64(row[4]);
  out.pack.key_id = pg::read_text(row[5]);
  out.pack.previous = read_link(row[6]);
  out.pack.bodies = pg::read_bytea(row[7]);
  out.pack.signatures = {pg::read_bytea(row[8]), pg::read_bytea(row[9])};
  return out;
}

Result<std::vector<ReceiptPack>> pack_receipts(const std::string& gateway, std::int64_t epoch, ReceiptLink& link,
                                               std::span<const UsageEvent> events, std::size_t first_index) {
  std::vector<ReceiptPack> packs;
  std::vector<Digest> links;  // of the pack being filled, as `signatures`
  std::vector<std::string_view> signatures;
  const auto close_pack = [&] {
    if (!links.empty()) packs.back().signatures = receipt::store_signatures(links, signatures);
    links.clear();
    signatures.clear();
  };
  bool is_open = false;
  for (std::size_t i = 0; i < events.size(); ++i) {
    const UsageEvent& event = events[i];
    if (event.receipt.body.empty()) {
      if (link) return bad_receipt(event, first_index + i, "it is missing, although the epoch has receipts");
      is_open = false;
      continue;
    }
    if (event.receipt.previous != link.value_or(Digest{})) {
      return bad_receipt(event, first_index + i, "it does not follow the receipt before it");
    }
    if (!is_open || packs.back().key_id != event.receipt.key_id) {
      close_pack();
      const auto sequence = static_cast<std::int64_t>(event.sequence);
      packs.push_back({gateway, epoch, sequence, sequence - 1, event.receipt.key_id, link.value_or(Digest{}), {}, {}});
      is_open = true;
    }
    packs.back().add(event.receipt.body);
    link = receipt::link_of(event.receipt.body);
    links.push_back(*link);
    signatures.push_back(event.receipt.signature);
  }
  close_pack();
  return packs;
}

Status check_receipt_price(const UsageEvent& event, const price::RatedRequest& rated, std::string_view currency,
                           std::size_t index) {
  if (event.receipt.body.empty()) return {};
  const auto receipt = receipt::decode_body(event.receipt.body);
  if (!receipt) return bad_receipt(event, index, receipt.error().message);
  if (const Status sums = receipt::check_arithmetic(*receipt); !sums)
    return bad_receipt(event, index, sums.error().message);
  if (receipt->price_book != rated.book || receipt->currency != currency ||
      receipt->priced_us != unix_micros(rated.priced_at)) {
    return bad_receipt(
        event, index,
        fmt::format("priced by {} in {} at {}, billing says {} in {} at {}", receipt->price_book, receipt->currency,
                    receipt->priced_us, rated.book, currency, unix_micros(rated.priced_at)));
  }
  return {};
}

void insert_receipts(pqxx::work& tx, const std::vector<ReceiptPack>& packs) {
  if (packs.empty()) return;
  pg::BinaryArray first(pg::ElementType::kInt8), last(pg::ElementType::kInt8), key(pg::ElementType::kText),
      previous(pg::ElementType::kBytea), bodies(pg::ElementType::kBytea), signatures(pg::ElementType::kBytea),
      runs(pg::ElementType::kBytea);
  for (const ReceiptPack& pack : packs) {
    first.add(pack.first);
    last.add(pack.last);
    key.add_text(pack.key_id);
    previous.add_bytes(as_view(pack.previous));
    bodies.add_bytes(pack.bodies);
    signatures.add_bytes(pack.signatures.signatures);
    runs.add_bytes(pack.signatures.runs);
  }
  pg::run(tx, kInsertBatches, packs.front().gateway, packs.front().epoch, kReceiptCutLock, first.param(), last.param(),
          key.param(), previous.param(), bodies.param(), signatures.param(), runs.param());
}

Status register_receipt_key(pqxx::work& tx, const std::string& signer, const std::string& deployment,
                            const std::string& public_key, Wall now) {
  TG_ASSIGN(const auto key, Ed25519PublicKey::from_raw(public_key));
  tx.exec_params1(kLockSigner, signer);
  const auto known = tx.exec_params(kFindKey, pg::to_bytea(public_key));
  if (!known.empty()) {
    if (pg::read_text(known[0][0]) != signer) {
      return fail(Code::kFailedPrecondition, "receipt_key_taken",
                  fmt::format("key {} signs for {}; give {} a key of its own: tidegate receipt-key mint", key.id(),
                              pg::read_text(known[0][0]), signer),
                  "receipt_key");
    }
    if (pg::read_bool(known[0][1])) {
      return fail(
          Code::kFailedPrecondition, "receipt_key_retired",
          fmt::format("key {} was retired and cannot sign again; make another: tidegate receipt-key mint", key.id()),
          "receipt_key");
    }
    return {};
  }
  tx.exec_params0(kRetireKeys, signer, pg::to_sql(now));
  tx.exec_params0(kInsertReceiptKey, key.id(), signer, deployment, pg::to_bytea(public_key), pg::to_sql(now));
  return {};
}

std::vector<ReceiptKeyRow> list_receipt_keys(pqxx::work& tx) {
  std::vector<ReceiptKeyRow> out;
  for (const auto& row : tx.exec(kListKeys)) {
    out.push_back({pg::read_text(row[0]), pg::read_text(row[1]), pg::read_text(row[2]), pg::read_bytea(row[3]),
                   pg::read_wall(row[4]), pg::read_wall_if(row[5])});
  }
  return out;
}

receipt::KeyRing to_ring(const std::vector<ReceiptKeyRow>& keys) {
  receipt::KeyRing ring;
  for (const ReceiptKeyRow& row : keys) {
    auto key = Ed25519PublicKey::from_raw(row.public_key);
    if (!key) continue;
    receipt::PublishedKey published{*std::move(key), row.signer, unix_micros(row.valid_from), std::nullopt};
    if (row.valid_to) published.valid_to_us = unix_micros(*row.valid_to);
    ring.emplace(row.key_id, std::move(published));
  }
  return ring;
}

Result<ReceiptPlace> find_receipt(pqxx::work& tx, const RequestId& request, const std::optional<TenantId>& tenant) {
  const auto event = tx.exec_params(kFindEvent, pg::to_sql(request));
  if (event.empty() || (tenant && pg::read_id<TenantId>(event[0][0]) != *tenant)) {
    return fail(Code::kNotFound, "unknown_request",
                fmt::format("request {} is not known; a receipt can be fetched some seconds after its answer",
                            request.to_string()),
                "request_id");
  }
  const std::int64_t sequence = pg::read_int64(event[0][3]);
  const auto batch = tx.exec_params(kFindBatch, pg::read_text(event[0][1]), pg::read_int64(event[0][2]), sequence);
  if (batch.empty() || pg::read_int64(batch[0][4]) < sequence) {
    return fail(Code::kNotFound, "no_receipt", fmt::format("request {} is older than receipts", request.to_string()),
                "request_id");
  }
  NumberedPack found = read_pack(batch[0]);
  return ReceiptPlace{found.id, std::move(found.pack),
                      static_cast<std::size_t>(sequence - pg::read_int64(batch[0][3]))};
}

Result<std::string> whole_receipt(const ReceiptPlace& place) {
  TG_ASSIGN(const auto receipts, unpack(place.pack));
  const UnpackedReceipt& one = receipts[place.offset];
  return receipt::join(one.body, place.pack.key_id, one.signature);
}

std::vector<NumberedPack> load_packs(pqxx::work& tx, std::int64_t after, std::int64_t through, int limit) {
  std::vector<NumberedPack> out;
  for (const auto& row : tx.exec_params(kLoad, after, through, limit)) out.push_back(read_pack(row));
  return out;
}

}  // namespace tidegate::billing
