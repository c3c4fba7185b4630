"use strict";
// Buttons that copy what is to be typed. Where the clipboard is closed to pages, the text is selected for the reader's own copy.
for (const button of document.querySelectorAll("button.copy")) {
  const code = button.previousElementSibling;
  button.hidden = false;
  button.addEventListener("click", async () => {
    const copied = await navigator.clipboard?.writeText(code.textContent.trim()).then(() => true, () => false);
    if (!copied) window.getSelection().selectAllChildren(code);
    button.textContent = copied ? "Copied" : "Selected";
    setTimeout(() => (button.textContent = "Copy"), 2000);
  });
}
