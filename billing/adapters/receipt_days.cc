#include "billing/adapters/receipt_days.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "base/pg/types.h"
#include "base/receipt/checkpoint.h"
#include "base/receipt/merkle.h"
#include "billing/adapters/receipt_lock.h"

namespace tidegate::billing {
namespace {

constexpr int kPacksAtOnce = 16;
constexpr int kAuditPacks = 256;
/// One signature in this many, where all are checked again and again.
constexpr std::uint32_t kAuditVerifyEvery = 64;

constexpr const char* kLockCut = "SELECT pg_advisory_xact_lock($1)";
constexpr const char* kCut = R"sql(
  INSERT INTO receipt_cuts (day, through_batch)
  SELECT $1::date, greatest((SELECT coalesce(max(id), 0) FROM receipt_batches),
                            (SELECT coalesce(max(through_batch), 0) FROM receipt_cuts))
   WHERE NOT EXISTS (SELECT 1 FROM receipt_cuts WHERE day >= $1::date))sql";
constexpr const char* kNextCut = R"sql(
  SELECT c.day::text, (SELECT coalesce(max(p.through_batch), 0) FROM receipt_cuts p WHERE p.day < c.day), c.through_batch
    FROM receipt_cuts c LEFT JOIN receipt_days d USING (day) WHERE d.day IS NULL ORDER BY c.day LIMIT 1)sql";
constexpr const char* kInsertDay = "INSERT INTO receipt_days (day, size, checkpoint) VALUES ($1::date, $2, $3::bytea)";
constexpr const char* kInsertChunk = R"sql(
  INSERT INTO receipt_chunks (day, chunk, root, batch, skip) VALUES ($1::date, $2, $3::bytea, $4, $5))sql";
constexpr const char* kListDays = "SELECT day::text, size, checkpoint FROM receipt_days ORDER BY day DESC LIMIT $1";
constexpr const char* kDayOf = R"sql(
  SELECT d.day::text, d.size, d.checkpoint, (SELECT coalesce(max(p.through_batch), 0) FROM receipt_cuts p WHERE p.day < c.day)
    FROM receipt_cuts c JOIN receipt_days d USING (day) WHERE c.through_batch >= $1 ORDER BY c.day LIMIT 1)sql";
constexpr const char* kLeavesBefore = R"sql(
  SELECT coalesce(sum(last_seq - first_seq + 1), 0)::bigint FROM receipt_batches WHERE id > $1 AND id < $2)sql";
constexpr const char* kChunkRoots = "SELECT root, batch, skip FROM receipt_chunks WHERE day = $1::date ORDER BY chunk";
constexpr const char* kRecent = R"sql(
  SELECT coalesce((SELECT id FROM receipt_batches ORDER BY id DESC OFFSET $1 LIMIT 1), 0),
         coalesce((SELECT max(id) FROM receipt_batches), 0))sql";

struct Chunk {
  Digest root;
  std::int64_t batch = 0;
  std::int64_t skip = 0;
};

/// A day's tree, leaf by leaf.
class DayTree {
 public:
  void add(const NumberedPack& pack, const std::vector<Digest>& links) {
    for (std::size_t i = 0; i < links.size(); ++i) {
      if (chunk_.size() == 0) chunks_.push_back({{}, pack.id, static_cast<std::int64_t>(i)});
      const Digest leaf = merkle::leaf_hash(as_view(links[i]));
      chunk_.append(leaf);
      whole_.append(leaf);
      if (chunk_.size() == kChunkLeaves) end_chunk();
    }
  }
  void end() {
    if (chunk_.size() > 0) end_chunk();
  }
  const merkle::Frontier& whole() const { return whole_; }
  const std::vector<Chunk>& chunks() const { return chunks_; }

 private:
  void end_chunk() {
    chunks_.back().root = chunk_.root();
    chunk_ = {};
  }
  merkle::Frontier whole_, chunk_;
  std::vector<Chunk> chunks_;
};

std::vector<Chunk> load_chunks(pqxx::work& tx, const std::string& day) {
  std::vector<Chunk> out;
  for (const auto& row : tx.exec_params(kChunkRoots, day)) {
    out.push_back({read_link(row[0]), pg::read_int64(row[1]), pg::read_int64(row[2])});
  }
  return out;
}

std::vector<Digest> roots_of(const std::vector<Chunk>& chunks) {
  std::vector<Digest> roots;
  for (const Chunk& chunk : chunks) roots.push_back(chunk.root);
  return roots;
}

Result<std::vector<Digest>> leaves_of(pqxx::work& tx, const Chunk& chunk, std::size_t count) {
  std::vector<Digest> leaves;
  std::int64_t after = chunk.batch - 1;
  std::size_t skip = static_cast<std::size_t>(chunk.skip);
  while (leaves.size() < count) {
    const auto packs = load_packs(tx, after, std::numeric_limits<std::int64_t>::max(), 2);
    if (packs.empty()) return fail(Code::kDataLoss, "receipt_damaged", "receipts of a sealed day are missing");
    for (const NumberedPack& pack : packs) {
      TG_ASSIGN(const auto receipts, unpack(pack.pack));
      for (std::size_t i = skip; i < receipts.size() && leaves.size() < count; ++i) {
        leaves.push_back(merkle::leaf_hash(as_view(receipts[i].link)));
      }
      skip = 0;
      after = pack.id;
    }
  }
  return leaves;
}

void audit_root(pqxx::work& tx, const DayRow& day, const receipt::KeyRing& keys, ReceiptAudit& audit) {
  const auto signed_root = receipt::decode_checkpoint(day.checkpoint);
  if (!signed_root) return audit.note(signed_root.error().message, "day " + day.day);
  const auto key = keys.find(signed_root->envelope.key_id);
  if (key == keys.end() || !receipt::verify_signature(signed_root->envelope, key->second.key)) {
    return audit.note("the root's signature does not verify", "day " + day.day);
  }
  const receipt::Checkpoint& root = signed_root->checkpoint;
  const auto chunks = load_chunks(tx, day.day);
  const bool is_whole = root.log == "receipts/" + day.day && root.size == static_cast<std::uint64_t>(day.size) &&
                        chunks.size() == (root.size + kChunkLeaves - 1) / kChunkLeaves &&
                        merkle::root_of(roots_of(chunks)) == root.root;
  if (!is_whole) audit.note("the signed root is not that of the stored tree", "day " + day.day);
}

}  // namespace

std::string utc_day(Wall instant) { return format_rfc3339(instant).substr(0, 10); }

void cut_day(pqxx::work& tx, const std::string& day) {
  tx.exec_params1(kLockCut, kReceiptCutLock);
  tx.exec_params0(kCut, day);
}

std::optional<DayCut> next_cut(pqxx::work& tx) {
  const auto rows = tx.exec(kNextCut);
  if (rows.empty()) return std::nullopt;
  return DayCut{pg::read_text(rows[0][0]), pg::read_int64(rows[0][1]), pg::read_int64(rows[0][2])};
}

DayRow seal_day(pqxx::work& tx, const DayCut& cut, const std::string& deployment, const Ed25519Key& key, Wall now,
                ReceiptAudit& audit) {
  DayTree tree;
  for (std::int64_t after = cut.after; after < cut.through;) {
    const auto packs = load_packs(tx, after, cut.through, kPacksAtOnce);
    if (packs.empty()) break;
    for (const NumberedPack& pack : packs) tree.add(pack, audit.add(tx, pack.pack));
    after = packs.back().id;
  }
  tree.end();
  const receipt::Checkpoint root{deployment, "receipts/" + cut.day, tree.whole().size(), tree.whole().root(),
                                 unix_micros(now)};
  DayRow day{cut.day, static_cast<std::int64_t>(root.size), receipt::sign_body(receipt::encode_body(root), key)};
  tx.exec_params0(kInsertDay, day.day, day.size, pg::to_bytea(day.checkpoint));
  int number = 0;
  for (const Chunk& chunk : tree.chunks()) {
    tx.exec_params0(kInsertChunk, day.day, number++, pg::to_bytea(as_view(chunk.root)), chunk.batch, chunk.skip);
  }
  return day;
}

std::vector<DayRow> list_days(pqxx::work& tx, int limit) {
  std::vector<DayRow> out;
  for (const auto& row : tx.exec_params(kListDays, limit)) {
    out.push_back({pg::read_text(row[0]), pg::read_int64(row[1]), pg::read_bytea(row[2])});
  }
  return out;
}

Result<DayInclusion> prove_receipt(pqxx::work& tx, const ReceiptPlace& place) {
  TG_ASSIGN(const auto receipts, unpack(place.pack));
  const auto day = tx.exec_params(kDayOf, place.batch);
  if (day.empty()) {
    return fail(Code::kFailedPrecondition, "day_not_sealed",
                "its day's tree is made soon after midnight UTC; ask again then", "request_id");
  }
  DayInclusion out;
  out.day = {pg::read_text(day[0][0]), pg::read_int64(day[0][1]), pg::read_bytea(day[0][2])};
  out.link = receipts[place.offset].link;
  const auto before = tx.exec_params1(kLeavesBefore, pg::read_int64(day[0][3]), place.batch);
  out.index = static_cast<std::uint64_t>(pg::read_int64(before[0])) + place.offset;
  const auto chunks = load_chunks(tx, out.day.day);
  const std::uint64_t number = out.index / kChunkLeaves;
  if (number >= chunks.size())
    return fail(Code::kDataLoss, "receipt_damaged", "the day's tree is smaller than its receipts");
  const auto size = static_cast<std::uint64_t>(out.day.size);
  const std::uint64_t count = std::min<std::uint64_t>(kChunkLeaves, size - number * kChunkLeaves);
  TG_ASSIGN(const auto leaves, leaves_of(tx, chunks[number], count));
  out.path = merkle::inclusion_proof(leaves, out.index % kChunkLeaves);
  const auto above = merkle::inclusion_proof(roots_of(chunks), number);
  out.path.insert(out.path.end(), above.begin(), above.end());
  return out;
}

ReceiptAudit audit_receipts(pqxx::work& tx) {
  const receipt::KeyRing keys = to_ring(list_receipt_keys(tx));
  ReceiptAudit audit(keys, kAuditVerifyEvery);
  const auto range = tx.exec_params1(kRecent, kAuditPacks);
  const std::int64_t through = pg::read_int64(range[1]);
  for (std::int64_t after = pg::read_int64(range[0]); after < through;) {
    const auto packs = load_packs(tx, after, through, kPacksAtOnce);
    if (packs.empty()) break;
    for (const NumberedPack& pack : packs) audit.add(tx, pack.pack);
    after = packs.back().id;
  }
  for (const DayRow& day : list_days(tx, 10'000)) audit_root(tx, day, keys, audit);
  return audit;
}

}  // namespace tidegate::billing
