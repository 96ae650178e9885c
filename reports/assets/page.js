"use strict";
// The rest of the page: copy the command, light and dark, from a violation to its place on the axis.

(() => {
  const root = document.documentElement;
  const theme = document.getElementById("theme");
  const dark = () => (root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches);
  theme.addEventListener("click", () => { root.dataset.theme = dark() ? "light" : "dark"; });

  const copy = document.getElementById("copy");
  if (copy) copy.addEventListener("click", async () => {
    const code = document.getElementById("command"), text = code.textContent;
    try {
      await navigator.clipboard.writeText(text);
    } catch (refused) {  // a page opened from a file may not use the clipboard: select it, the reader presses Ctrl-C
      getSelection().selectAllChildren(code);
      copy.textContent = document.execCommand("copy") ? "Copied" : "Press Ctrl+C";
      return;
    }
    copy.textContent = "Copied";
  });

  // The first story of each property stands open; the others are folded until somebody asks for one.
  function openStory() {
    const found = /^#violation-(\d+)$/.exec(location.hash);
    if (!found) return;
    const story = document.getElementById(found[0].slice(1));
    if (story && story.tagName === "DETAILS") story.open = true;
    Timeline.showViolation(Number(found[1]) - 1);
  }

  for (const link of document.querySelectorAll("[data-violation]")) {
    link.addEventListener("click", () => {
      Timeline.showViolation(Number(link.dataset.violation));
      if (link.matches("button")) document.getElementById("timeline").scrollIntoView();
    });
  }
  for (const button of document.querySelectorAll(".locate-messages")) {
    button.addEventListener("click", () => {
      Messages.focus(Number(button.dataset.index));
      document.getElementById("messages").scrollIntoView();
    });
  }
  window.addEventListener("hashchange", () => {
    openStory();
  });
  openStory();
  window.addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((d) => { d.open = true; }));
})();
