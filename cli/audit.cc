#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <iterator>

#include "base/core/encoding.h"
#include "base/receipt/checkpoint.h"
#include "base/receipt/merkle.h"
#include "cli/audit_log.h"
#include "cli/commands.h"
#include "cli/connection.h"
#include "cli/message_json.h"
#include "cli/receipt_file.h"
#include "cli/time_text.h"

namespace tidegate::cli {

namespace {

using Audit = v1::AuditLog::Stub;
constexpr std::int32_t kPage = 1000;

Status list_audit(const Arguments& arguments) {
  TG_ASSIGN(Connection connection, Connection::open(arguments));
  v1::ListAuditRequest request;
  TG_ASSIGN(const auto from, arguments.integer_option("from", 0));
  TG_ASSIGN(const auto limit, arguments.integer_option("limit", 100));
  request.set_from(static_cast<std::uint64_t>(std::max<std::int64_t>(from, 0)));
  request.set_limit(static_cast<std::int32_t>(limit));
  TG_ASSIGN(const auto page, connection.call(&Audit::ListAudit, connection.audit(), request));
  if (arguments.wants_json()) {
    fmt::print("{}\n", message_json(page));
    return {};
  }
  for (const auto& entry : page.entries()) {
    fmt::print("{:>6}  {}  {}  {}\n        {}\n", entry.number(), time_text(entry.at_us()), entry.actor(),
               entry.origin(), entry.changes());
  }
  fmt::print("{} of {} entries\n", page.entries_size(), page.size());
  return {};
}

std::unexpected<Error> broken(std::string words) { return fail(Code::kDataLoss, "audit_broken", std::move(words)); }

/// The leaves as the entries' own words give them.
Result<std::vector<Digest>> load_leaves(Connection& connection, std::uint64_t size) {
  std::vector<Digest> leaves;
  while (leaves.size() < size) {
    v1::ListAuditRequest request;
    request.set_from(leaves.size());
    request.set_limit(kPage);
    TG_ASSIGN(const auto page, connection.call(&Audit::ListAudit, connection.audit(), request));
    if (page.entries().empty()) return broken(fmt::format("entry {} is missing", leaves.size()));
    for (const auto& entry : page.entries()) {
      if (entry.number() != leaves.size()) return broken(fmt::format("entry {} is missing", leaves.size()));
      leaves.push_back(audit_leaf(entry));
      if (leaves.size() == size) break;
    }
  }
  return leaves;
}

Result<receipt::SignedCheckpoint> read_checkpoint(std::string_view bytes, const receipt::KeyRing& keys) {
  TG_ASSIGN(auto read, receipt::decode_checkpoint(bytes));
  const auto key = keys.find(read.envelope.key_id);
  if (key == keys.end())
    return fail(Code::kNotFound, "unknown_key", "the checkpoint names key " + read.envelope.key_id);
  TG_TRY(receipt::verify_signature(read.envelope, key->second.key));
  if (read.checkpoint.log != "audit") return broken("the checkpoint is of another log: " + read.checkpoint.log);
  return read;
}

Result<receipt::KeyRing> load_keys(const Arguments& arguments) {
  TG_ASSIGN(const std::string path, arguments.required_option("key"));
  std::ifstream file(path, std::ios::binary);
  const std::string text(std::istreambuf_iterator<char>(file), {});
  receipt::KeyRing keys;
  TG_TRY(read_keys(text, path, keys));
  return keys;
}

/// Everything from the entries' own words; only the signature and, with --since, an older checkpoint are taken on
/// trust.
Status verify_audit(const Arguments& arguments) {
  TG_ASSIGN(const auto keys, load_keys(arguments));
  TG_ASSIGN(Connection connection, Connection::open(arguments));
  TG_ASSIGN(const auto newest,
            connection.call(&Audit::GetAuditCheckpoint, connection.audit(), v1::GetAuditCheckpointRequest()));
  if (newest.checkpoint().empty())
    return fail(Code::kNotFound, "no_checkpoint", "nothing was signed yet; one is made within a minute of a change");
  TG_ASSIGN(const auto now, read_checkpoint(newest.checkpoint(), keys));
  TG_ASSIGN(const auto leaves, load_leaves(connection, now.checkpoint.size));
  if (merkle::root_of(leaves) != now.checkpoint.root)
    return broken("the entries do not give the signed root: one was changed");
  if (arguments.has("since")) {
    const std::string path = arguments.option("since");
    std::ifstream file(path);
    std::string text;
    file >> text;
    TG_ASSIGN(const auto before, read_checkpoint(base64url_decode(text).value_or(""), keys));
    const std::uint64_t size = before.checkpoint.size;
    if (size > leaves.size())
      return broken(fmt::format("{} knew {} entries, there are {} now", path, size, leaves.size()));
    v1::ProveAuditRequest request;
    request.set_old_size(size);
    request.set_new_size(leaves.size());
    TG_ASSIGN(const auto proof, connection.call(&Audit::ProveAudit, connection.audit(), request));
    std::vector<Digest> path_nodes;
    for (const auto& node : proof.path()) {
      path_nodes.emplace_back();
      if (node.size() == path_nodes.back().size()) std::ranges::copy(node, path_nodes.back().begin());
    }
    if (!merkle::verify_consistency(size, before.checkpoint.root, leaves.size(), now.checkpoint.root, path_nodes)) {
      return broken(fmt::format("the first {} entries are not those that {} knew", size, path));
    }
  }
  if (arguments.has("save")) {
    std::ofstream file(arguments.option("save"));
    file << base64url_encode(newest.checkpoint()) << "\n";
    if (!file) return fail(Code::kInvalidArgument, "bad_usage", "cannot write " + arguments.option("save"), "save");
  }
  fmt::print("{} entries give the root signed at {} by key {}{}\n", leaves.size(), time_text(now.checkpoint.at_us),
             now.envelope.key_id, arguments.has("since") ? "; what was known before is unchanged" : "");
  return {};
}

}  // namespace

std::vector<Command> audit_commands() {
  return {
      {"audit list",
       "Show administrative changes in the order of their commits.",
       "[--from NUMBER] [--limit N]",
       "  tidegate audit list --from 120\n",
       {"from", "limit"},
       {},
       list_audit},
      {"audit verify",
       "Prove the log of administrative changes; exit code 1 when something was rewritten.",
       "--key KEYS [--since FILE] [--save FILE]",
       "  tidegate receipt keys --json > keys.json\n"
       "  tidegate audit verify --key keys.json --save checkpoint\n"
       "  tidegate audit verify --key keys.json --since checkpoint --save checkpoint\n",
       {"key", "since", "save"},
       {},
       verify_audit},
  };
}

}  // namespace tidegate::cli
