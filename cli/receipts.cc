#include <fmt/format.h>

#include <fstream>
#include <iostream>
#include <iterator>

#include "base/crypto/ed25519.h"
#include "cli/commands.h"
#include "cli/message_json.h"
#include "cli/receipt_verify.h"

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

Status verify(const Arguments& arguments) {
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

Status show(const Arguments& arguments) {
  TG_ASSIGN(const auto receipts, read_receipt_files(arguments));
  for (const auto& found : receipts) {
    if (!found.receipt)
      return fail(Code::kInvalidArgument, found.receipt.error().reason,
                  found.where + ": " + found.receipt.error().message);
    fmt::print("{}\n", arguments.wants_json() ? receipt_json(*found.receipt) : receipt_text(*found.receipt));
  }
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
       verify},
      {"receipt show",
       "Print what receipts say, without proving it.",
       "FILE...",
       "  tidegate receipt show headers.txt\n  tidegate receipt show - --json < receipts.jsonl\n",
       {},
       {},
       show},
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
