"use strict";
// Buttons that copy what is to be typed; without a clipboard there are none, and a click selects the text.
if (navigator.clipboard) {
  for (const button of document.querySelectorAll("button.copy")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      const copied = await navigator.clipboard.writeText(button.previousElementSibling.textContent.trim()).then(() => true, () => false);
      button.textContent = copied ? "Copied" : "Not possible";
      setTimeout(() => (button.textContent = "Copy"), 1500);
    });
  }
}
