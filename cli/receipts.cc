#include <fmt/format.h>

#include <fstream>
#include <iostream>
#include <iterator>

#include "base/core/encoding.h"
#include "base/crypto/ed25519.h"
#include "cli/commands.h"
#include "cli/connection.h"
#include "cli/receipt_verify.h"
#include "cli/text_table.h"
#include "cli/time_text.h"

namespace tidegate::cli {

namespace {

/// "-" is standard input.
Result<std::string> read_all(const std::string& path) {
  if (path == "-") return std::string(std::istreambuf_iterator<char>(std::cin), {});
  std::ifstream file(path, std::ios::binary);
  if (!file) return fail(Code::kNotFound, "no_file", "cannot read " + path, path);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

std::vector<std::string> split(const std::string& list) {
  std::vector<std::string> parts;
  std::size_t begin = 0;
  while (begin < list.size()) {
    const auto comma = std::min(list.size(), list.find(',', begin));
    if (comma > begin) parts.push_back(list.substr(begin, comma - begin));
    begin = comma + 1;
  }
  return parts;
}

Result<std::vector<FoundReceipt>> read_receipt_files(const Arguments& arguments) {
  TG_TRY(arguments.word(0, "FILE (or - for standard input)"));
  std::vector<FoundReceipt> all;
  for (const std::string& path : arguments.words()) {
    TG_ASSIGN(const std::string text, read_all(path));
    for (auto& found : read_receipts(text, path)) all.push_back(std::move(found));
  }
  if (all.empty()) return fail(Code::kNotFound, "no_receipts", "there is no receipt in what was given");
  return all;
}

void print_report(const VerifyReport& report, bool as_json) {
  for (const auto& problem : report.problems) {
    fmt::print(stderr, "{}{}{}{}{}: {} [{}]\n", problem.where, problem.where.empty() ? "" : ": ",
               problem.request.empty() ? "" : "request ", problem.request,
               problem.error.field.empty() ? "" : ", " + problem.error.field, problem.error.message,
               problem.error.reason);
  }
  if (as_json) {
    fmt::print("{{\"receipts\":{},\"sound\":{},\"links\":{},\"proofs\":{},\"is_complete\":{},\"problems\":{}}}\n",
               report.receipts, report.sound, report.links, report.proofs, report.is_complete, report.problems.size());
    return;
  }
  fmt::print("{} of {} receipts are sound; {} neighbours fit, {} proved in a day's tree{}\n", report.sound,
             report.receipts, report.links, report.proofs, report.is_complete ? "; the chains are whole" : "");
}

Status verify_receipts(const Arguments& arguments) {
  TG_ASSIGN(const std::string key_files, arguments.required_option("key"));
  receipt::KeyRing keys;
  for (const std::string& path : split(key_files)) {
    TG_ASSIGN(const std::string text, read_all(path));
    TG_TRY(read_keys(text, path, keys));
  }
  std::vector<DayProof> proofs;
  for (const std::string& path : split(arguments.option("proof"))) {
    TG_ASSIGN(const std::string text, read_all(path));
    TG_ASSIGN(auto some, read_proofs(text, path));
    for (auto& proof : some) proofs.push_back(std::move(proof));
  }
  TG_ASSIGN(auto receipts, read_receipt_files(arguments));
  const VerifyRules rules{.wants_chain = arguments.has("chain"), .wants_proof = arguments.has("require-proof")};
  const VerifyReport report = verify_receipts(std::move(receipts), keys, proofs, rules);
  print_report(report, arguments.wants_json());
  // The problems were printed; the exit code is the answer.
  if (!report.problems.empty()) return fail(Code::kDataLoss, "unsound", "");
  return {};
}

Status show_receipt(const Arguments& arguments) {
  TG_ASSIGN(const auto receipts, read_receipt_files(arguments));
  for (const auto& found : receipts) {
    if (!found.receipt)
      return fail(Code::kInvalidArgument, found.receipt.error().reason,
                  found.where + ": " + found.receipt.error().message);
    fmt::print("{}\n", arguments.wants_json() ? receipt_json(*found.receipt) : receipt_text(*found.receipt));
  }
  return {};
}

using Receipts = v1::Receipts::Stub;

void print_item(const v1::ReceiptItem& item) {
  fmt::print("{{\"request_id\":\"{}\",\"receipt\":\"{}\"}}\n", item.request_id(), base64url_encode(item.receipt()));
}

Status get(const Arguments& arguments) {
  TG_ASSIGN(Connection connection, Connection::open(arguments));
  v1::GetReceiptRequest request;
  TG_ASSIGN(*request.mutable_request_id(), arguments.word(0, "REQUEST_ID"));
  TG_ASSIGN(const auto item, connection.call(&Receipts::GetReceipt, connection.receipts(), request));
  if (arguments.wants_json()) {
    print_item(item);
    return {};
  }
  TG_ASSIGN(const auto receipt, receipt::decode_signed(item.receipt()));
  fmt::print("{}", receipt_text(receipt));
  return {};
}

Status export_all(const Arguments& arguments) {
  TG_ASSIGN(Connection connection, Connection::open(arguments));
  v1::ListReceiptsRequest request;
  TG_ASSIGN(*request.mutable_tenant(), arguments.required_option("tenant"));
  request.set_limit(1000);
  for (;;) {
    TG_ASSIGN(const auto page, connection.call(&Receipts::ListReceipts, connection.receipts(), request));
    for (const auto& item : page.receipts()) {
      if (!item.receipt().empty()) print_item(item);
    }
    if (page.receipts_size() < request.limit()) return {};
    request.set_after(page.receipts(page.receipts_size() - 1).request_id());
  }
}

Status prove(const Arguments& arguments) {
  TG_ASSIGN(Connection connection, Connection::open(arguments));
  TG_TRY(arguments.word(0, "REQUEST_ID"));
  for (const std::string& id : arguments.words()) {
    v1::ProveReceiptRequest request;
    request.set_request_id(id);
    TG_ASSIGN(const auto proof, connection.call(&Receipts::ProveReceipt, connection.receipts(), request));
    std::string path;
    for (const std::string& node : proof.path()) path += fmt::format("{}\"{}\"", path.empty() ? "" : ",", hex_encode(node));
    fmt::print("{{\"day\":\"{}\",\"link\":\"{}\",\"index\":{},\"path\":[{}],\"checkpoint\":\"{}\"}}\n", proof.day(),
               hex_encode(proof.link()), proof.index(), path, base64url_encode(proof.checkpoint()));
  }
  return {};
}

Status keys(const Arguments& arguments) {
  TG_ASSIGN(Connection connection, Connection::open(arguments));
  TG_ASSIGN(const auto list,
            connection.call(&Receipts::ListReceiptKeys, connection.receipts(), v1::ListReceiptKeysRequest()));
  if (!arguments.wants_json()) {
    TextTable table({"KEY", "SIGNER", "DEPLOYMENT", "FROM", "TO"});
    for (const auto& key : list.keys()) {
      table.add({key.key_id(), key.signer(), key.deployment(), time_text(key.valid_from_us()), time_text(key.valid_to_us())});
    }
    fmt::print("{}", table.render());
    return {};
  }
  // What GET /v1/receipts/keys answers, so that `receipt verify --key` reads both.
  std::string rows;
  for (const auto& key : list.keys()) {
    rows += fmt::format(
        "{}{{\"key_id\":\"{}\",\"signer\":\"{}\",\"deployment\":\"{}\",\"public_key\":\"{}\",\"valid_from_us\":{},"
        "\"valid_to_us\":{}}}",
        rows.empty() ? "" : ",", key.key_id(), key.signer(), key.deployment(), base64url_encode(key.public_key()),
        key.valid_from_us(), key.valid_to_us());
  }
  fmt::print("{{\"keys\":[{}]}}\n", rows);
  return {};
}

Status key_mint(const Arguments&) {
  SystemEntropy entropy;
  const Ed25519Key key = Ed25519Key::mint(entropy);
  fmt::print("{}", key.pem());
  fmt::print(stderr, "key {}; keep the text above in a file only its service can read\n", key.public_key().id());
  return {};
}

Status key_public(const Arguments& arguments) {
  TG_ASSIGN(const std::string path, arguments.word(0, "KEYFILE"));
  TG_ASSIGN(const std::string pem, read_all(path));
  TG_ASSIGN(const Ed25519Key key, Ed25519Key::from_pem(pem, path));
  fmt::print("{}", key.public_key().pem());
  fmt::print(stderr, "key {}\n", key.public_key().id());
  return {};
}

}  // namespace

std::vector<Command> receipt_commands() {
  return {
      {"receipt verify",
       "Prove receipts offline, with public keys only; exit code 1 when one is unsound.",
       "FILE... --key KEYS[,KEYS] [--proof FILE] [--chain] [--require-proof]",
       "  tidegate receipt keys --json > keys.json\n"
       "  tidegate receipt verify receipts.jsonl --key keys.json --chain\n"
       "  curl -sD headers.txt ... && tidegate receipt verify headers.txt --key gateway.pem\n",
       {"key", "proof"},
       {"chain", "require-proof"},
       verify_receipts},
      {"receipt show",
       "Print what receipts say, without proving it.",
       "FILE...",
       "  tidegate receipt show headers.txt\n  tidegate receipt show - --json < receipts.jsonl\n",
       {},
       {},
       show_receipt},
      {"receipt get", "Fetch a request's receipt.", "REQUEST_ID",
       "  tidegate receipt get 0192f0c4-7c00-7000-8000-000000000001 --json\n", {}, {}, get},
      {"receipt export", "Write all receipts of a tenant, one a line, newest first.", "--tenant TENANT",
       "  tidegate receipt export --tenant acme > receipts.jsonl\n", {"tenant"}, {}, export_all},
      {"receipt prove", "Write the proof that receipts are in their day's signed tree.", "REQUEST_ID...",
       "  tidegate receipt prove 0192f0c4-7c00-7000-8000-000000000001 > proof.jsonl\n", {}, {}, prove},
      {"receipt keys", "List the keys that sign, and that ever signed, with their validity.", "",
       "  tidegate receipt keys\n  tidegate receipt keys --json > keys.json\n", {}, {}, keys},
      {"receipt-key mint",
       "Make a signing key; the private key goes to standard output.",
       "",
       "  (umask 077; tidegate receipt-key mint > secrets/receipt_key)\n",
       {},
       {},
       key_mint},
      {"receipt-key public",
       "Print the public half of a signing key.",
       "KEYFILE",
       "  tidegate receipt-key public secrets/receipt_key > gateway.pem\n",
       {},
       {},
       key_public},
  };
}

}  // namespace tidegate::cli
