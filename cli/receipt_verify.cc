#include "cli/receipt_verify.h"

#include <map>
#include <utility>

namespace tidegate::cli {
namespace {

Status check_one(const FoundReceipt& found, const receipt::KeyRing& keys, const std::map<Digest, DayProof>& proofs,
                 const VerifyRules& rules, receipt::ChainCheck& chain, VerifyReport& report) {
  const receipt::SignedReceipt& receipt = *found.receipt;
  TG_TRY(receipt::verify_receipt(receipt, keys));
  TG_TRY(receipt::check_arithmetic(receipt.receipt));
  TG_TRY(chain.add(receipt));
  const auto apart = proofs.find(receipt::link_of(receipt.envelope.body));
  const DayProof* proof = found.proof ? &*found.proof : apart == proofs.end() ? nullptr : &apart->second;
  if (proof != nullptr) {
    TG_TRY(verify_proof(*proof, receipt, keys));
    ++report.proofs;
  } else if (rules.wants_proof) {
    return fail(Code::kNotFound, "no_proof",
                "no proof was given for it; get one with: tidegate receipt prove REQUEST_ID");
  }
  return {};
}

}  // namespace

VerifyReport verify_receipts(std::vector<FoundReceipt> receipts, const receipt::KeyRing& keys,
                             const std::vector<DayProof>& proofs, const VerifyRules& rules) {
  std::map<Digest, DayProof> by_link;
  for (const DayProof& proof : proofs) by_link.insert_or_assign(proof.link, proof);
  VerifyReport report;
  receipt::ChainCheck chain;
  for (const FoundReceipt& found : receipts) {
    ++report.receipts;
    if (!found.receipt) {
      report.problems.push_back({found.where, "", found.receipt.error()});
      continue;
    }
    const Status checked = check_one(found, keys, by_link, rules, chain, report);
    if (checked) {
      ++report.sound;
    } else {
      report.problems.push_back({found.where, found.receipt->receipt.request.to_string(), checked.error()});
    }
  }
  report.links = chain.links();
  report.is_complete = chain.receipts() > 0 && chain.is_complete();
  if (rules.wants_chain && !report.is_complete) {
    report.problems.push_back(
        {"", "",
         Error(Code::kDataLoss, "chain_gap", "the receipts given are not whole chains from number 1 without a gap")});
  }
  return report;
}

}  // namespace tidegate::cli
